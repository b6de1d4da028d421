import type { Random } from '../random.ts';
import { draw, slot, type Point, type Slot } from './point.ts';

/** A finding of a chest radiograph: how the report describes it, and the line of the impression it deserves. */
export interface Finding {
  concept: string;
  /** Lower is more urgent and stands first in the impression. */
  priority: number;
  mention: RegExp;
  /** Why the examination was asked for, where this finding is the leading one. */
  histories: readonly string[];
  /** Its absence in words, for reports in which it is not there. */
  negative?: string;
  slots(random: Random): Record<string, Slot>;
  described: readonly string[];
  ways: readonly string[];
}

const SIDES = ['right', 'left'];
const SIZES = ['small', 'moderate', 'large'];
const LOBES = [
  'right upper lobe',
  'right middle lobe',
  'right lower lobe',
  'left upper lobe',
  'left lower lobe'
];
const side = (random: Random) => draw(random, SIDES);

export const FINDINGS: readonly Finding[] = [
  {
    concept: 'tension pneumothorax',
    priority: 0,
    mention: /tension pneumothorax/i,
    histories: ['sudden breathlessness and hypotension', 'road traffic collision'],
    slots: (random) => ({ side: side(random) }),
    described: [
      'Large {side} pneumothorax with shift of the mediastinum and flattening of the hemidiaphragm.',
      'The {side} lung is collapsed, with absent peripheral markings and marked mediastinal displacement.'
    ],
    ways: [
      'Tension pneumothorax on the {side}; immediate decompression required.',
      'Tension pneumothorax, {side} side. Decompress immediately.'
    ]
  },
  {
    concept: 'pneumothorax',
    priority: 1,
    mention: /(?<!tension )pneumothorax/i,
    histories: ['sudden pleuritic chest pain', 'removal of a chest tube', 'fall from a ladder'],
    negative: 'No pneumothorax.',
    slots: (random) => ({ size: draw(random, SIZES), side: side(random) }),
    described: [
      'A {size} {side} pneumothorax is present without mediastinal shift.',
      'Visceral pleural line at the {side} apex with absent markings beyond it, {size} in extent.'
    ],
    ways: [
      'Pneumothorax on the {side}, {size}, without tension.',
      'Pneumothorax, {side} side, {size}. No sign of tension.'
    ]
  },
  {
    concept: 'free air',
    priority: 1,
    mention: /free (subdiaphragmatic|intraperitoneal) air/i,
    histories: ['severe abdominal pain'],
    slots: () => ({ act: slot('urgent surgical review', ['urgent surgical review', 'routine follow-up']) }),
    described: [
      'Crescent of lucency beneath the right hemidiaphragm.',
      'Gas is seen under the right hemidiaphragm, separate from bowel.'
    ],
    ways: ['Free subdiaphragmatic air; {act} advised.', 'Free intraperitoneal air, {act} recommended.']
  },
  {
    concept: 'pneumonia',
    priority: 3,
    mention: /pneumonia/i,
    histories: ['fever and productive cough', 'fever and raised inflammatory markers', 'cough for ten days'],
    negative: 'No focal consolidation.',
    slots: (random) => ({ lobe: draw(random, LOBES), time: slot('6 weeks', ['6 weeks', '6 months']) }),
    described: [
      'Airspace consolidation in the {lobe} with air bronchograms.',
      'Dense opacity of the {lobe} containing air bronchograms.',
      'Patchy airspace opacification of the {lobe}.'
    ],
    ways: [
      'Pneumonia in the {lobe}; repeat radiograph in {time}.',
      'Pneumonia of the {lobe}. Follow-up radiograph in {time} to confirm resolution.'
    ]
  },
  {
    concept: 'edema',
    priority: 3,
    mention: /edema/i,
    histories: ['progressive breathlessness and orthopnea', 'known heart failure with weight gain'],
    negative: 'No evidence of pulmonary edema.',
    slots: (random) => ({ degree: draw(random, ['mild', 'moderate', 'severe']) }),
    described: [
      'Perihilar haze with septal lines and upper zone venous diversion, {degree} in degree.',
      'There is {degree} interstitial thickening with peribronchial cuffing and Kerley B lines.'
    ],
    ways: ['Pulmonary edema, {degree}.', 'Interstitial pulmonary edema of {degree} degree.']
  },
  {
    concept: 'nodule',
    priority: 4,
    mention: /nodule/i,
    histories: ['weight loss in a smoker', 'preoperative assessment', 'hemoptysis'],
    negative: 'No pulmonary nodule.',
    slots: (random) => ({
      mm: draw(random, ['6 mm', '8 mm', '12 mm', '15 mm', '18 mm', '22 mm']),
      lobe: draw(random, LOBES),
      act: slot('chest CT', ['chest CT'])
    }),
    described: [
      'A well-defined {mm} nodule projects over the {lobe}.',
      'There is a {mm} rounded opacity in the {lobe}, not seen previously.'
    ],
    ways: [
      'Nodule in the {lobe}, {mm}; {act} recommended.',
      'New nodule of the {lobe}, {mm}; {act} advised for characterization.'
    ]
  },
  {
    concept: 'lymphadenopathy',
    priority: 4,
    mention: /lymphadenopathy/i,
    histories: ['dry cough and skin lesions', 'night sweats'],
    slots: () => ({ act: slot('chest CT', ['chest CT']) }),
    described: [
      'Both hila are enlarged with lobulated contours.',
      'Bilateral symmetrical hilar enlargement.'
    ],
    ways: [
      'Bilateral hilar lymphadenopathy; {act} recommended.',
      'Lymphadenopathy of both hila; {act} advised.'
    ]
  },
  {
    concept: 'effusion',
    priority: 4,
    mention: /effusion/i,
    histories: ['breathlessness', 'recent abdominal surgery', 'reduced breath sounds at the base'],
    negative: 'No pleural effusion.',
    slots: (random) => ({
      size: draw(random, SIZES),
      side: side(random),
      change: draw(random, ['increased', 'unchanged', 'decreased'])
    }),
    described: [
      'There is a {size} {side} pleural effusion, {change} since the previous study.',
      '{size} layering density at the {side} base in keeping with pleural fluid, {change} from before.',
      'Meniscus at the {side} costophrenic angle indicating {size} pleural fluid, {change}.'
    ],
    ways: [
      'Pleural effusion on the {side}, {size}, {change}.',
      'Pleural effusion, {side} side, {size} and {change}.'
    ]
  },
  {
    concept: 'rib fracture',
    priority: 5,
    mention: /\brib\b/i,
    histories: ['fall from a ladder', 'blunt chest trauma'],
    negative: 'No acute bony abnormality.',
    slots: (random) => ({
      side: side(random),
      rib: draw(random, ['fifth', 'sixth', 'seventh', 'eighth', 'ninth'])
    }),
    described: [
      'Minimally displaced fracture of the {side} {rib} rib laterally.',
      'Cortical step in the lateral {side} {rib} rib.'
    ],
    ways: ['Acute fracture of the {side} {rib} rib.', 'Fracture of the {side} {rib} rib.']
  },
  {
    concept: 'compression fracture',
    priority: 5,
    mention: /compression fracture/i,
    histories: ['back pain after a minor fall'],
    slots: (random) => ({ level: draw(random, ['T8', 'T9', 'T10', 'T11', 'T12']) }),
    described: ['Anterior wedging of the {level} vertebral body.', 'Loss of height of {level} anteriorly.'],
    ways: [
      'Compression fracture of {level}, age indeterminate.',
      'Compression fracture of {level} of uncertain age.'
    ]
  },
  {
    concept: 'atelectasis',
    priority: 6,
    mention: /atelectasis/i,
    histories: ['fever on the second day after surgery'],
    slots: (random) => ({ side: side(random) }),
    described: [
      'Linear opacity at the {side} base with slight volume loss.',
      'Plate-like density in the {side} lower zone.'
    ],
    ways: ['Basal atelectasis on the {side}.', 'Minor atelectasis at the {side} base.']
  },
  {
    concept: 'cardiomegaly',
    priority: 6,
    mention: /cardiomegaly/i,
    histories: ['hypertension and breathlessness', 'ankle swelling'],
    negative: 'The heart size is normal.',
    slots: (random) => ({ degree: draw(random, ['mild', 'moderate', 'marked']) }),
    described: ['The cardiac silhouette is {degree}ly enlarged.', 'The heart is {degree}ly enlarged.'],
    ways: ['Cardiomegaly, {degree}.', 'Cardiomegaly of {degree} degree.']
  },
  {
    concept: 'emphysema',
    priority: 7,
    mention: /emphysema/i,
    histories: ['chronic obstructive pulmonary disease'],
    slots: () => ({}),
    described: ['The lungs are hyperinflated with flattened hemidiaphragms.'],
    ways: ['Hyperinflation in keeping with emphysema.', 'Emphysema.']
  },
  {
    concept: 'hiatal hernia',
    priority: 7,
    mention: /hernia/i,
    histories: ['epigastric discomfort'],
    slots: () => ({}),
    described: ['Retrocardiac air-fluid level.', 'Rounded retrocardiac density containing gas.'],
    ways: ['Hiatal hernia.', 'Incidental hiatal hernia.']
  }
];

export const pointOf = (finding: Finding, slots: Record<string, Slot>): Point => ({
  concept: finding.concept,
  ways: finding.ways,
  slots,
  mention: finding.mention
});
