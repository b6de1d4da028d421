/** What remarks on a stretch of an output are called where a project does not say otherwise. */
export const SPAN_CATEGORIES = ['Wrong finding', 'Omission', 'Hallucination', 'Unsafe', 'Style'];
