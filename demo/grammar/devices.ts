import type { Random } from '../random.ts';
import { draw, slot, type Point, type Slot } from './point.ts';

/** Where a tube or line ends: how the report says it, and what the impression says of it, advice included. */
interface Position {
  described: readonly string[];
  verdict: string;
}

interface Device {
  concept: string;
  mention: RegExp;
  slots(random: Random): Record<string, Slot>;
  positions: readonly Position[];
  ways: readonly string[];
}

const SIDES = ['right', 'left'];
const GOOD = 'in satisfactory position';

export const DEVICES: readonly Device[] = [
  {
    concept: 'endotracheal tube',
    mention: /endotracheal tube/i,
    slots: () => ({}),
    positions: [
      {
        described: [
          'The endotracheal tube ends 4 cm above the carina.',
          'The endotracheal tube ends 5 cm above the carina.'
        ],
        verdict: GOOD
      },
      {
        described: [
          'The endotracheal tube ends in the right main bronchus.',
          'The endotracheal tube ends below the carina on the right.'
        ],
        verdict: 'in the right main bronchus; withdraw by 3 cm'
      },
      {
        described: [
          'The endotracheal tube ends 9 cm above the carina.',
          'The endotracheal tube ends 10 cm above the carina.'
        ],
        verdict: 'too high; advance by 4 cm'
      }
    ],
    ways: ['Endotracheal tube {verdict}.', 'The endotracheal tube is {verdict}.']
  },
  {
    concept: 'enteric tube',
    mention: /enteric tube/i,
    slots: () => ({}),
    positions: [
      {
        described: [
          'The enteric tube tip overlies the stomach.',
          'The enteric tube passes below the diaphragm.'
        ],
        verdict: GOOD
      },
      {
        described: ['The enteric tube ends at the gastroesophageal junction.'],
        verdict: 'too high; advance by 10 cm'
      },
      {
        described: ['The enteric tube follows the right lower lobe bronchus.'],
        verdict: 'in the airway; remove at once'
      }
    ],
    ways: ['Enteric tube {verdict}.', 'The enteric tube is {verdict}.']
  },
  {
    concept: 'central line',
    mention: /central line/i,
    slots: (random) => ({
      side: draw(random, SIDES),
      vein: draw(random, ['internal jugular', 'subclavian'])
    }),
    positions: [
      {
        described: [
          'A {side} {vein} line ends in the lower superior vena cava.',
          'The {side} {vein} line tip projects at the cavoatrial junction.'
        ],
        verdict: GOOD
      },
      {
        described: ['A {side} {vein} line ends deep in the right atrium.'],
        verdict: 'too deep; withdraw by 3 cm'
      }
    ],
    ways: ['Central line in the {side} {vein} vein {verdict}.', 'Central line, {side} {vein}, {verdict}.']
  },
  {
    concept: 'chest tube',
    mention: /chest tube/i,
    slots: (random) => ({ side: draw(random, SIDES) }),
    positions: [
      { described: ['A {side} chest tube is directed to the apex.'], verdict: GOOD },
      {
        described: ['The side hole of the {side} chest tube lies outside the pleural space.'],
        verdict: 'with its side hole outside the pleura; reposition'
      }
    ],
    ways: ['Chest tube on the {side} {verdict}.', 'Chest tube, {side} side, {verdict}.']
  },
  {
    concept: 'pacemaker',
    mention: /pacemaker/i,
    slots: (random) => ({ side: draw(random, SIDES) }),
    positions: [
      { described: ['A {side} chest wall pacemaker has two intact leads.'], verdict: GOOD },
      {
        described: ['The ventricular lead of the {side} chest wall pacemaker is fractured.'],
        verdict: 'with a fractured lead; cardiology review advised'
      }
    ],
    ways: ['Pacemaker on the {side} {verdict}.', 'Pacemaker, {side} side, {verdict}.']
  }
];

export interface PlacedDevice {
  point: Point;
  described: string;
  malpositioned: boolean;
}

export function place(random: Random, device: Device): PlacedDevice {
  const position = random.pick(device.positions);
  const verdicts = device.positions.map(({ verdict }) => verdict);
  const slots = { ...device.slots(random), verdict: slot(position.verdict, verdicts) };
  const { concept, mention, ways } = device;
  return {
    point: { concept, mention, ways, slots },
    described: random.pick(position.described),
    malpositioned: position.verdict !== GOOD
  };
}
