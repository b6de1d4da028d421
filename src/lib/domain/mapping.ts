import type { Mapping } from '#wire/import.ts';
import { RowFault, type ImportedTask, type ImportedVote } from './imported.ts';

type Row = Record<string, unknown>;

/** A flat row by a person's mapping: `{column}` in the prompt, columns of outputs, columns of votes. */
export function mapRow(row: Row, mapping: Mapping): Omit<ImportedTask, 'specialty'> {
  const used = new Set([...mapping.outputs, ...(mapping.votes ?? []).map(({ column }) => column)]);
  const prompt = mapping.prompt
    .replace(/\{([^{}]+)\}/g, (_, column: string) => {
      used.add(column);
      return textOf(row, column);
    })
    .trim();
  if (!prompt) throw new RowFault('empty_text', 'The prompt that the mapping makes is empty.');
  const outputs = mapping.outputs.map((column) => ({ text: textOf(row, column), source: column }));
  const rest = Object.entries(row).filter(([key]) => !used.has(key));
  return {
    prompt: [{ role: 'user', content: prompt }],
    outputs,
    votes: (mapping.votes ?? []).flatMap((vote) => voteOf(row, vote)),
    metadata: rest.length ? Object.fromEntries(rest) : null
  };
}

/** An empty cell is no vote; a value that the mapping does not name is a mistake of one of the two. */
function voteOf(row: Row, vote: NonNullable<Mapping['votes']>[number]): ImportedVote[] {
  const value = textOf(row, vote.column).trim();
  if (!value) return [];
  const tiers = Object.hasOwn(vote.values, value) ? vote.values[value] : undefined;
  if (!tiers)
    throw new RowFault(
      'unknown_vote',
      `The column ${vote.column} has a value that the mapping does not name.`
    );
  return [{ rater: vote.rater, tiers }];
}

function textOf(row: Row, column: string): string {
  if (!Object.hasOwn(row, column))
    throw new RowFault(
      'missing_column',
      `The column ${column} is missing; add it, or import with another mapping.`
    );
  const value = row[column];
  if (value === null || value === undefined) return '';
  if (typeof value === 'object')
    throw new RowFault('bad_text', `The column ${column} holds a list or object, not text.`);
  return String(value);
}
