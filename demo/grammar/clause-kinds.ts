import type { Random } from '../random.ts';
import { draw, slot, type Slot } from './point.ts';

/** One statement of a clause in plain English. */
export interface Statement {
  concept: string;
  mention: RegExp;
  ways: readonly string[];
}

export interface ClauseKind {
  title: string;
  /** The clause as lawyers write it; `{days}` and the like stand for slots, `{days_in_words}` for their legal spelling. */
  texts: readonly string[];
  slots(random: Random, parties: Parties): Record<string, Slot>;
  statements: readonly Statement[];
}

/** The party that receives and pays, and the party that provides. */
export interface Parties {
  a: string;
  b: string;
}

const days = (random: Random, ...values: string[]) => draw(random, values);
/** Who a sentence is about: the right party and the one it could be mistaken for. */
const who = (right: string, wrong: string) => slot(right, [right, wrong]);

/** A law and the seat of its courts. */
const FORUMS = [
  ['England and Wales', 'London'],
  ['New York', 'Manhattan'],
  ['Delaware', 'Wilmington'],
  ['Singapore', 'Singapore City'],
  ['Ireland', 'Dublin'],
  ['Ontario', 'Toronto'],
  ['California', 'San Francisco']
] as const;

export const CLAUSE_KINDS: readonly ClauseKind[] = [
  {
    title: 'Termination for convenience',
    texts: [
      '{who} may terminate this Agreement for convenience upon not less than {days_in_words} prior written notice. Upon such termination {payer} shall pay all fees accrued up to the effective date of termination.',
      'This Agreement may be terminated by {who} without cause on {days_in_words} written notice, whereupon {payer} shall remain liable for fees accrued to the date of termination.'
    ],
    slots: (random, { a, b }) => ({
      who: draw(random, ['either party', a, b]),
      days: days(random, '30 days', '60 days', '90 days'),
      payer: who(a, b)
    }),
    statements: [
      {
        concept: 'exit',
        mention: /any reason|without giving a reason/i,
        ways: [
          '{who} can end the agreement for any reason with {days} written notice.',
          'With {days} written notice, {who} can end the agreement without giving a reason.'
        ]
      },
      {
        concept: 'accrued fees',
        mention: /up to the end date/i,
        ways: [
          '{payer} must still pay the fees up to the end date.',
          'Fees up to the end date are still owed by {payer}.'
        ]
      }
    ]
  },
  {
    title: 'Limitation of liability',
    texts: [
      'The aggregate liability of {who} under this Agreement shall not exceed the fees paid in the {months_in_words} preceding the claim. Neither party shall be liable for indirect or consequential loss, including loss of profit. Nothing in this clause limits liability for {carve}.',
      'Save in respect of {carve}, the total liability of {who} shall in no event exceed the fees paid during the {months_in_words} before the event giving rise to the claim, and neither party is liable for any indirect or consequential loss.'
    ],
    slots: (random, { a, b }) => ({
      who: who(b, a),
      months: draw(random, ['6 months', '12 months', '24 months']),
      carve: draw(random, [
        'fraud',
        'gross negligence',
        'breach of confidentiality',
        'death or personal injury'
      ])
    }),
    statements: [
      {
        concept: 'cap',
        mention: /at most the fees|never owes more/i,
        ways: [
          '{who} has to pay at most the fees of the last {months}.',
          '{who} never owes more than the fees of the last {months}.'
        ]
      },
      {
        concept: 'indirect loss',
        mention: /indirect loss/i,
        ways: ['Neither side pays for indirect losses.', 'Indirect losses are not paid by either side.']
      },
      {
        concept: 'carve-out',
        mention: /\blimit\b/i,
        ways: ['The limit does not apply to {carve}.', 'There is no limit for {carve}.']
      }
    ]
  },
  {
    title: 'Governing law',
    texts: [
      'This Agreement shall be governed by and construed in accordance with the laws of {law}. The parties submit to the {exclusive} jurisdiction of the courts of {city}.',
      'The construction, validity and performance of this Agreement are governed by the laws of {law}, and the courts of {city} shall have {exclusive} jurisdiction over any dispute.'
    ],
    slots: (random) => {
      const exclusive = random.chance(0.5);
      const [law, city] = random.pick(FORUMS);
      return {
        law: slot(
          law,
          FORUMS.map(([name]) => name)
        ),
        city: slot(
          city,
          FORUMS.map(([, name]) => name)
        ),
        exclusive: slot(exclusive ? 'exclusive' : 'non-exclusive', []),
        reach: slot(exclusive ? 'exclusively' : 'among others', ['exclusively', 'among others'])
      };
    },
    statements: [
      {
        concept: 'law',
        mention: /\blaw\b/i,
        ways: ['The law of {law} applies.', 'The agreement follows the law of {law}.']
      },
      {
        concept: 'courts',
        mention: /courts/i,
        ways: ['Disputes go to the courts of {city} {reach}.', 'The courts of {city} hear disputes {reach}.']
      }
    ]
  },
  {
    title: 'Assignment',
    texts: [
      '{who} shall not assign or transfer this Agreement without the prior written consent of {other}, such consent not to be unreasonably withheld or delayed, save that no consent is required for an assignment to {exception}.',
      'Neither this Agreement nor any right under it may be assigned by {who} without the prior written consent of {other}, which shall not unreasonably be withheld; provided that {who} may assign to {exception} without consent.'
    ],
    slots: (random, { a, b }) => {
      const first = random.chance(0.5);
      return {
        who: first ? who(a, b) : who(b, a),
        other: first ? who(b, a) : who(a, b),
        exception: draw(random, ['an affiliate', 'a successor to its business', 'a lender as security'])
      };
    },
    statements: [
      {
        concept: 'consent',
        mention: /written consent/i,
        ways: [
          '{who} needs written consent to transfer the agreement.',
          'To transfer the agreement, {who} needs written consent.'
        ]
      },
      {
        concept: 'reasonable refusal',
        mention: /refuse/i,
        ways: ['{other} can refuse only with good reason.', '{other} must have a good reason to refuse.']
      },
      {
        concept: 'free transfer',
        mention: /no consent/i,
        ways: [
          'No consent is needed for a transfer to {exception}.',
          'A transfer to {exception} needs no consent.'
        ]
      }
    ]
  },
  {
    title: 'Confidentiality',
    texts: [
      'Each party shall keep the Confidential Information of the other in strict confidence and shall not disclose it save to {exception}. The obligations in this clause survive for {years_in_words} following termination.',
      'The receiving party shall hold all Confidential Information in confidence for a period of {years_in_words} after expiry of this Agreement, provided that disclosure may be made to {exception}.'
    ],
    slots: (random) => ({
      exception: draw(random, ['its professional advisers', 'its employees', 'a regulator', 'its insurers']),
      years: draw(random, ['2 years', '3 years', '5 years'])
    }),
    statements: [
      {
        concept: 'secrecy',
        mention: /secret/i,
        ways: [
          "Each side must keep the other's information secret.",
          'Information of the other side must be kept secret.'
        ]
      },
      {
        concept: 'sharing',
        mention: /shared?\b/i,
        ways: ['It can be shared with {exception}.', 'Each side can share it with {exception}.']
      },
      {
        concept: 'survival',
        mention: /duty lasts|duty ends/i,
        ways: [
          'The duty lasts {years} after the agreement ends.',
          'This duty ends {years} after the agreement.'
        ]
      }
    ]
  },
  {
    title: 'Indemnity',
    texts: [
      '{who} shall indemnify and hold harmless {other} against all losses arising from any third-party claim of {cause}, provided that {other} notifies the claim within {days_in_words} and {who} has sole conduct of the defence.',
      '{who} agrees to indemnify {other} from any third-party claim alleging {cause}. {other} shall give notice of the claim within {days_in_words}, and {who} shall control the defence.'
    ],
    slots: (random, { a, b }) => ({
      who: who(b, a),
      other: who(a, b),
      cause: draw(random, [
        'patent infringement',
        'copyright infringement',
        'personal injury',
        'misuse of personal data'
      ]),
      days: days(random, '10 days', '15 days', '30 days')
    }),
    statements: [
      {
        concept: 'cover',
        mention: /covers/i,
        ways: [
          '{who} covers the losses if a third party claims {cause}.',
          'If a third party claims {cause}, {who} covers the losses.'
        ]
      },
      {
        concept: 'claim notice',
        mention: /reported|must report the claim/i,
        ways: [
          '{other} must report the claim within {days}.',
          'The claim must be reported by {other} within {days}.'
        ]
      },
      {
        concept: 'defense',
        mention: /defen[cs]e/i,
        ways: ['{who} runs the defense.', 'The defense is run by {who}.']
      }
    ]
  },
  {
    title: 'Payment',
    texts: [
      '{payer} shall pay each undisputed invoice within {days_in_words} of receipt. Overdue sums bear interest at {rate} per month. If any sum is overdue by more than {late_in_words}, {payee} may suspend performance.',
      'Invoices are payable by {payer} within {days_in_words} of receipt, failing which interest accrues at {rate} per month and, after {late_in_words}, {payee} shall be entitled to suspend the services.'
    ],
    slots: (random, { a, b }) => ({
      payer: who(a, b),
      payee: who(b, a),
      days: days(random, '14 days', '30 days', '45 days'),
      rate: draw(random, ['1%', '1.5%', '2%']),
      late: draw(random, ['20 days', '60 days', '90 days'])
    }),
    statements: [
      {
        concept: 'invoice',
        mention: /invoice/i,
        ways: [
          '{payer} must pay each invoice within {days}.',
          'Each invoice must be paid by {payer} within {days}.'
        ]
      },
      {
        concept: 'interest',
        mention: /interest/i,
        ways: [
          'Late payments cost {rate} interest per month.',
          'Interest on late payments is {rate} per month.'
        ]
      },
      {
        concept: 'suspension',
        mention: /stop work/i,
        ways: ['After {late} {payee} can stop work.', '{payee} can stop work once payment is {late} late.']
      }
    ]
  },
  {
    title: 'Term and renewal',
    texts: [
      'This Agreement shall continue for an initial term of {years_in_words} and shall thereafter renew automatically for successive periods of {period_in_words} unless either party gives notice of non-renewal not less than {days_in_words} before the end of the then-current term.',
      'The initial term is {years_in_words}. Unless notice of non-renewal is given at least {days_in_words} prior to expiry, the term shall be extended automatically by further periods of {period_in_words} each.'
    ],
    slots: (random) => ({
      years: draw(random, ['2 years', '3 years', '5 years']),
      period: draw(random, ['6 months', '12 months', '24 months']),
      days: days(random, '30 days', '60 days', '90 days')
    }),
    statements: [
      {
        concept: 'term',
        mention: /first term/i,
        ways: ['The first term is {years}.', 'The agreement has a first term of {years}.']
      },
      {
        concept: 'renewal',
        mention: /by itself/i,
        ways: [
          'It then renews by itself for {period} at a time.',
          'After that it renews by itself every {period}.'
        ]
      },
      {
        concept: 'non-renewal',
        mention: /stop a renewal|avoid a renewal/i,
        ways: [
          'To stop a renewal, give notice {days} before the term ends.',
          'Notice {days} before the end is needed to avoid a renewal.'
        ]
      }
    ]
  }
];
