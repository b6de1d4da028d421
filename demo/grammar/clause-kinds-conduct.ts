import type { ClauseKind } from './clause-kinds.ts';
import { draw, slot } from './point.ts';

const who = (right: string, wrong: string) => slot(right, [right, wrong]);

/** Clauses about what a party must do or leave, beside those about money, term and liability. */
export const CONDUCT_KINDS: readonly ClauseKind[] = [
  {
    title: 'Non-solicitation',
    texts: [
      'For a period of {months_in_words} following termination {who} shall not, directly or indirectly, solicit for employment any person employed by {other}, save that a response to a general advertisement shall not be a breach.',
      '{who} undertakes that it shall not during the {months_in_words} after termination entice away any employee of {other}, provided that general recruitment advertising is permitted.'
    ],
    slots: (random, { a, b }) => {
      const first = random.chance(0.5);
      return {
        who: first ? who(a, b) : who(b, a),
        other: first ? who(b, a) : who(a, b),
        months: draw(random, ['6 months', '12 months', '18 months'])
      };
    },
    statements: [
      {
        concept: 'poaching',
        mention: /staff/i,
        ways: [
          'For {months} after the end, {who} must not lure away staff.',
          '{who} must not lure away staff for {months} after the end.'
        ]
      },
      {
        concept: 'advertising',
        mention: /advert/i,
        ways: ['Public job adverts are allowed.', 'Hiring through public job adverts is allowed.']
      }
    ]
  },
  {
    title: 'Force majeure',
    texts: [
      'Neither party shall be in breach for delay caused by events beyond its reasonable control, provided that this clause shall not excuse any obligation to pay. If the event continues for more than {days_in_words}, {who} may terminate this Agreement.',
      'A party is excused from performance, other than payment, to the extent prevented by an event beyond its reasonable control; {who} may terminate if such event persists for more than {days_in_words}.'
    ],
    slots: (random, { a, b }) => ({
      days: draw(random, ['30 days', '60 days', '90 days']),
      who: draw(random, ['either party', a, b])
    }),
    statements: [
      {
        concept: 'excused delay',
        mention: /outside (its|their) control/i,
        ways: [
          'Delays from events outside their control are excused.',
          'No side is to blame for delays from events outside its control.'
        ]
      },
      {
        concept: 'payment in any case',
        mention: /payments are still due|excuse late payments/i,
        ways: ['Payments are still due on time.', 'This does not excuse late payments.']
      },
      {
        concept: 'long event',
        mention: /the event lasts/i,
        ways: [
          'If the event lasts over {days}, {who} can end the agreement.',
          '{who} can end the agreement once the event lasts over {days}.'
        ]
      }
    ]
  },
  {
    title: 'Warranty',
    texts: [
      '{who} warrants that the deliverables shall be free from material defects for {months_in_words} from delivery. {other} shall notify any defect within {days_in_words} of discovery, and {who} shall at its option repair or replace the defective deliverables.',
      'The deliverables are warranted by {who} against material defects for {months_in_words} after delivery, provided that {other} gives notice within {days_in_words} of discovery. The remedy is repair or replacement at the option of {who}.'
    ],
    slots: (random, { a, b }) => ({
      who: who(b, a),
      other: who(a, b),
      months: draw(random, ['6 months', '12 months', '24 months']),
      days: draw(random, ['7 days', '14 days', '30 days'])
    }),
    statements: [
      {
        concept: 'promise',
        mention: /promise/i,
        ways: [
          '{who} promises work without serious defects for {months}.',
          'For {months}, {who} promises that the work has no serious defects.'
        ]
      },
      {
        concept: 'fault notice',
        mention: /\bfaults?\b/i,
        ways: [
          '{other} must give notice of a fault within {days}.',
          'Faults must be notified by {other} within {days}.'
        ]
      },
      {
        concept: 'remedy',
        mention: /repair/i,
        ways: [
          '{who} chooses between repair and replacement.',
          'The choice between repair and replacement is made by {who}.'
        ]
      }
    ]
  },
  {
    title: 'Data breach',
    texts: [
      '{who} shall notify {other} of any personal data breach without undue delay and in any event within {hours_in_words} of becoming aware of it, and shall bear the reasonable costs of notifying {affected}.',
      'In the event of a personal data breach {who} shall inform {other} no later than {hours_in_words} after becoming aware, the reasonable costs of notifying {affected} being borne by {who}.'
    ],
    slots: (random, { a, b }) => ({
      who: who(b, a),
      other: who(a, b),
      hours: draw(random, ['24 hours', '48 hours', '72 hours']),
      affected: draw(random, ['affected individuals', 'supervisory authorities'])
    }),
    statements: [
      {
        concept: 'breach notice',
        mention: /data breach/i,
        ways: [
          '{who} must announce a data breach within {hours}.',
          'A data breach must be announced by {who} within {hours}.'
        ]
      },
      {
        concept: 'breach costs',
        mention: /costs of informing/i,
        ways: [
          '{who} bears the costs of informing {affected}.',
          'The costs of informing {affected} are borne by {who}.'
        ]
      }
    ]
  },
  {
    title: 'Audit',
    texts: [
      '{who} may, not more than once in any year and on {days_in_words} notice, audit the records of {other}. If the audit reveals an underpayment exceeding {share}, {other} shall bear the cost of the audit.',
      'On {days_in_words} notice, and no more than once per year, {who} shall be entitled to inspect the books of {other}, who shall bear the cost of the inspection where it discloses an underpayment above {share}.'
    ],
    slots: (random, { a, b }) => ({
      who: who(b, a),
      other: who(a, b),
      days: draw(random, ['5 days', '10 days', '20 days']),
      share: draw(random, ['3%', '5%', '10%'])
    }),
    statements: [
      {
        concept: 'inspection',
        mention: /once a year/i,
        ways: [
          '{who} can check the books once a year with {days} notice.',
          'Once a year, with {days} notice, {who} can check the books.'
        ]
      },
      {
        concept: 'audit costs',
        mention: /audit/i,
        ways: [
          'If more than {share} was underpaid, {other} pays for the audit.',
          '{other} pays for the audit if more than {share} was underpaid.'
        ]
      }
    ]
  },
  {
    title: 'Intellectual property',
    texts: [
      'Subject to payment in full, all rights in the work product shall vest in {who}. {other} retains all rights in its pre-existing materials and grants {who} a {scope} licence to use them.',
      'All intellectual property in the work product is assigned to {who} upon full payment, save for pre-existing materials, which remain the property of {other} and are licensed on a {scope} basis.'
    ],
    slots: (random, { a, b }) => ({
      who: who(a, b),
      other: who(b, a),
      scope: draw(random, ['perpetual', 'worldwide', 'royalty-free'])
    }),
    statements: [
      {
        concept: 'ownership',
        mention: /owns the (work|results)/i,
        ways: ['Once paid in full, {who} owns the work.', '{who} owns the work after full payment.']
      },
      {
        concept: 'earlier materials',
        mention: /earlier materials/i,
        ways: ['{other} keeps its earlier materials.', 'Earlier materials stay with {other}.']
      },
      {
        concept: 'license',
        mention: /\blicense\b/i,
        ways: ['They come with a {scope} license.', 'A {scope} license to use them is granted.']
      }
    ]
  }
];
