import type { Mapping } from '#wire/import.ts';
import { SPECIALTY_LENGTH_MAX, specialtyOf } from '#wire/specialty.ts';
import { canonicalJson } from './canonical.ts';
import { readCompletion, readTarget, readMessages, readPrompt, splitImplicit } from './dialogue.ts';
import { RowFault, type ImportedTask, type ImportedVote } from './imported.ts';
import { mapRow } from './mapping.ts';
import { byText, placeOf } from './order.ts';

type Row = Record<string, unknown>;
/** What the keys of a shape say; keys that are no shape's come after. */
type ReadTask = Omit<ImportedTask, 'metadata' | 'specialty'>;

/** A shape is known by its keys; `consumed` are those that become the task, all others are its metadata. */
interface Shape {
  name: string;
  needs: string[];
  consumed: string[];
  read(row: Row): ReadTask;
}

/** In order: the first whose keys a row has. More keys stand before fewer. */
const shapes: Shape[] = [
  {
    name: 'outputs',
    needs: ['prompt', 'outputs'],
    consumed: ['prompt', 'outputs', 'ranking'],
    read: readOutputs
  },
  {
    name: 'llamafactory_ranking',
    needs: ['conversations', 'chosen', 'rejected'],
    consumed: ['conversations', 'chosen', 'rejected', 'system'],
    read: (row) => preference(row, readMessages(row.conversations, 'conversations'))
  },
  {
    name: 'alpaca_preference',
    needs: ['instruction', 'chosen', 'rejected'],
    consumed: ['instruction', 'input', 'chosen', 'rejected', 'system', 'history'],
    read: (row) => preference(row, instructionOf(row))
  },
  {
    name: 'preference',
    needs: ['prompt', 'chosen', 'rejected'],
    consumed: ['prompt', 'chosen', 'rejected'],
    read: (row) => preference(row, readPrompt(row.prompt))
  },
  {
    name: 'preference_implicit',
    needs: ['chosen', 'rejected'],
    consumed: ['chosen', 'rejected'],
    read(row) {
      const { prompt, chosen, rejected } = splitImplicit(row.chosen, row.rejected);
      return preference({ ...row, chosen, rejected }, prompt);
    }
  },
  {
    name: 'prompt_completion',
    needs: ['prompt', 'completion'],
    consumed: ['prompt', 'completion'],
    read: (row) => single(readPrompt(row.prompt), readTarget(row.completion, 'completion'))
  },
  {
    name: 'alpaca',
    needs: ['instruction', 'output'],
    consumed: ['instruction', 'input', 'output', 'system', 'history'],
    read: (row) => single(instructionOf(row), readTarget(row.output, 'output'))
  },
  { name: 'messages', needs: ['messages'], consumed: ['messages'], read: readDialogue },
  {
    name: 'prompt',
    needs: ['prompt'],
    consumed: ['prompt'],
    read: (row) => ({ prompt: readPrompt(row.prompt), outputs: [], votes: [] })
  },
  {
    name: 'text',
    needs: ['text'],
    consumed: ['text'],
    read: (row) => single([], readTarget(row.text, 'text'))
  }
];

const METADATA_CHARS_MAX = 65_536;

/** The name of the shape that these keys have; null where it is none of ours and needs a mapping. */
export function detectShape(keys: readonly string[]): string | null {
  const given = new Set(keys);
  return lacking(given) ? null : (shapeOf(given)?.name ?? null);
}

const shapeOf = (keys: Set<string>) => shapes.find(({ needs }) => needs.every((key) => keys.has(key)));

/** Keys that say nothing without another: a row that lost one must not pass as a bare prompt with metadata. */
const PARTNERS = [
  ['chosen', 'rejected'],
  ['rejected', 'chosen'],
  ['ranking', 'outputs']
] as const;

function lacking(keys: Set<string>): readonly [string, string] | undefined {
  const shape = shapeOf(keys);
  if (shape && shape.name !== 'prompt') return undefined;
  return PARTNERS.find(([key, partner]) => keys.has(key) && !keys.has(partner));
}

/** Turns a parsed row into a task, by its keys or by a mapping; throws RowFault where it cannot be one. */
export function readRow(value: unknown, mapping: Mapping | null): ImportedTask {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new RowFault(
      'not_object',
      'The row is not an object with keys; write it like {"prompt": ..., ...}.'
    );
  const row = value as Row;
  const { metadata, ...read } = mapping ? mapRow(row, mapping) : readByShape(row);
  const { specialty, ...rest } = metadata ?? {};
  const task = {
    ...{ ...read, specialty: readSpecialty(specialty) },
    metadata: Object.keys(rest).length ? rest : null
  };
  checkVotes(task);
  if (!storable(task))
    throw new RowFault(
      'bad_character',
      'The row holds a NUL character or half of a surrogate pair; remove it.'
    );
  return task;
}

function readSpecialty(value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null;
  const specialty = typeof value === 'string' ? specialtyOf(value) : '';
  if (specialty && specialty.length <= SPECIALTY_LENGTH_MAX && !/\p{Cc}/u.test(specialty)) return specialty;
  throw new RowFault(
    'bad_specialty',
    `specialty must be text of 1 to ${SPECIALTY_LENGTH_MAX} characters; leave it out where the task is for everybody.`
  );
}

/** Databases keep neither NUL nor lone surrogates in text. */
function storable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (Array.isArray(value)) return value.every(storable);
  if (value === null || typeof value !== 'object') return true;
  return Object.entries(value).every(([key, item]) => storable(key) && storable(item));
}

function readByShape(row: Row): ReadTask & Pick<ImportedTask, 'metadata'> {
  const given = new Set(Object.keys(row).filter((key) => row[key] !== null && row[key] !== undefined));
  const lack = lacking(given);
  if (lack)
    throw new RowFault(
      'missing_key',
      `The row has "${lack[0]}" without "${lack[1]}"; give both, or import with a mapping.`
    );
  const shape = shapeOf(given);
  if (!shape)
    throw new RowFault(
      'unknown_shape',
      `The keys (${Object.keys(row).slice(0, 12).join(', ') || 'none'}) are no shape that is known; import with a mapping.`
    );
  const rest = Object.entries(row).filter(([key]) => !shape.consumed.includes(key));
  return { ...shape.read(row), metadata: metadataOf(rest) };
}

export function metadataOf(entries: [string, unknown][]): Record<string, unknown> | null {
  if (!entries.length) return null;
  const metadata = Object.fromEntries(entries);
  if (canonicalJson(metadata).length > METADATA_CHARS_MAX)
    throw new RowFault(
      'metadata_too_large',
      `The keys beside the task's hold more than ${METADATA_CHARS_MAX} characters; leave some out.`
    );
  return metadata;
}

/** Who judged, by the key that says it; rows that name nobody are one rater's, the import's. */
function raterOf(row: Row): string {
  for (const key of ['rater', 'annotator', 'source']) {
    const name = row[key];
    if (typeof name === 'string' && name.trim()) return name.trim().slice(0, 200);
  }
  return 'import';
}

function preference(row: Row, prompt: ImportedTask['prompt']): ReadTask {
  const system =
    typeof row.system === 'string' && row.system && prompt[0]?.role !== 'system' ? row.system : null;
  const chosen = readCompletion(row.chosen, 'chosen');
  const rejected = readCompletion(row.rejected, 'rejected');
  if (chosen === rejected) throw new RowFault('same_outputs', 'chosen and rejected are the same text.');
  // Shown in the order of the file, the chosen one would always stand first, and every rater would learn it.
  const texts = [chosen, rejected].sort((a, b) => placeOf(a) - placeOf(b) || byText(a, b));
  const best = texts.indexOf(chosen);
  return {
    prompt: system ? [{ role: 'system', content: system }, ...prompt] : prompt,
    outputs: texts.map((text) => ({ text, source: null })),
    votes: [{ rater: raterOf(row), tiers: [[best], [1 - best]] }]
  };
}

function single(prompt: ImportedTask['prompt'], text: string): ReadTask {
  return { prompt, outputs: [{ text, source: null }], votes: [] };
}

function readOutputs(row: Row): ReadTask {
  if (!Array.isArray(row.outputs)) throw new RowFault('bad_outputs', 'outputs is not a list.');
  const outputs = row.outputs.map((one: unknown, i) => {
    const given = (typeof one === 'string' ? { text: one } : (one ?? {})) as Row;
    return {
      text: readCompletion(given.text, `outputs[${i}]`),
      source: typeof given.source === 'string' ? given.source.slice(0, 200) : null
    };
  });
  const votes: ImportedVote[] =
    row.ranking === undefined || row.ranking === null
      ? []
      : [{ rater: raterOf(row), tiers: readTiers(row.ranking) }];
  return { prompt: readPrompt(row.prompt), outputs, votes };
}

function readTiers(value: unknown): number[][] {
  const fits =
    Array.isArray(value) &&
    value.every((tier) => Array.isArray(tier) && tier.length && tier.every(Number.isSafeInteger));
  if (!fits) throw new RowFault('bad_ranking', 'ranking must be tiers of output indices, like [[2],[0,1]].');
  return value as number[][];
}

function readDialogue(row: Row): ReadTask {
  const messages = readMessages(row.messages, 'messages');
  const last = messages.at(-1)!;
  if (last.role !== 'assistant' || messages.length < 2)
    throw new RowFault('bad_messages', 'messages must end with an answer of the assistant.');
  return single(messages.slice(0, -1), readTarget(last.content, 'the last message'));
}

function instructionOf(row: Row): ImportedTask['prompt'] {
  const parts = [row.instruction, row.input ?? ''].map((part) => {
    if (typeof part !== 'string') throw new RowFault('bad_text', 'instruction and input must be text.');
    return part;
  });
  const history = Array.isArray(row.history) ? row.history : [];
  const earlier = history.flatMap((turn: unknown, i) => {
    const [asked, answered] = Array.isArray(turn) ? turn : [];
    if (typeof asked !== 'string' || typeof answered !== 'string')
      throw new RowFault('bad_messages', `history[${i}] must be a question and an answer.`);
    return [
      { role: 'user' as const, content: asked },
      { role: 'assistant' as const, content: answered }
    ];
  });
  const system =
    typeof row.system === 'string' && row.system ? [{ role: 'system' as const, content: row.system }] : [];
  const text = parts.filter((part) => part.trim()).join('\n\n');
  return [...system, ...earlier, ...readPrompt(text, 'instruction')];
}

const OUTPUTS_MAX = 26;

function checkVotes({ outputs, votes }: ReadTask): void {
  if (outputs.length > OUTPUTS_MAX)
    throw new RowFault(
      'too_many_outputs',
      `A task has ${OUTPUTS_MAX} outputs at most; this row has ${outputs.length}.`
    );
  for (const { rater, tiers } of votes) {
    const places = tiers.flat();
    if (places.some((place) => place < 0 || place >= outputs.length))
      throw new RowFault('bad_ranking', `The ranking of ${rater} names an output that the row lacks.`);
    if (new Set(places).size !== places.length)
      throw new RowFault('bad_ranking', `The ranking of ${rater} names an output twice.`);
  }
}
