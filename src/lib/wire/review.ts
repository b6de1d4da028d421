/** Rankings by different people that one task may ask for. */
export const OVERLAP_MAX = 20;

/** Of the tasks handed out where the most uncertain come first: the share that is drawn at random unless the project says otherwise. */
export const RANDOM_SHARE = 0.2;
