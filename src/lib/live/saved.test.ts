import { expect, test } from 'vitest';
import { together, type Saved } from './saved.ts';

test.each<[Saved[], Saved]>([
  [['saved', 'saving'], 'saving'],
  [['offline', 'saving'], 'saving'],
  [['offline', 'connecting'], 'offline'],
  [['saved', 'offline'], 'offline'],
  [['offline', 'tab'], 'tab'],
  [['saving', 'refused'], 'refused'],
  [['saved', 'saved'], 'saved'],
  [[], 'saved']
])('of a page whose rooms are %j it is said: %s', (rooms, said) => {
  expect(together(rooms)).toBe(said);
});
