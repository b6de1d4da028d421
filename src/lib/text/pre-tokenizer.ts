import { TextError } from './error.ts';

type Part = Record<string, unknown> & { type?: unknown };

const refuse = (what: string) => new TextError('bad_tokenizer', `tokenizer.json cannot be used: ${what}`);

/** The pattern inside the tokenizers crate's ByteLevel. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/** Unicode's punctuation and the ASCII signs that the crate counts among it. */
const PUNCTUATION = '[\\p{P}\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e]';

/**
 * A pre-tokenizer said with the two things that the library does exactly: splitting by a regular expression into
 * isolated pieces (or dropping what is not matched), and mapping bytes. Its own versions of the others have JavaScript's
 * idea of white space and digits, and every behavior of Split but two as Isolated. Throws TextError.
 */
export function preTokenizer(given: unknown, addPrefixSpace: unknown): unknown {
  if (given === null || given === undefined) return null;
  const part = given as Part;
  // transformers lets tokenizer_config.json overrule the space before the first word.
  const overruled = part.type === 'ByteLevel' && typeof addPrefixSpace === 'boolean';
  return rewrite(overruled ? { ...part, add_prefix_space: addPrefixSpace } : part);
}

function rewrite(part: Part): Part {
  switch (part.type) {
    case 'Sequence':
      return sequence((part.pretokenizers as Part[]).map(rewrite));
    case 'ByteLevel':
      return byteLevel(part);
    case 'Split':
      return split(part);
    case 'Metaspace':
      return metaspace(part);
    case 'Digits':
      return split(by('\\p{N}', part.individual_digits ? 'Isolated' : 'Contiguous'));
    case 'Punctuation':
      return split(by(PUNCTUATION, String(part.behavior ?? 'Isolated')));
    case 'Whitespace':
      return { ...by('\\w+|[^\\w\\s]+', 'Removed'), invert: true };
    case 'WhitespaceSplit':
      return { ...by('\\S+', 'Removed'), invert: true };
    default:
      throw refuse(`its pre-tokenizer "${String(part.type)}" is not supported.`);
  }
}

const sequence = (pretokenizers: Part[]): Part => ({ type: 'Sequence', pretokenizers });
const by = (regex: string, behavior: string): Part => ({
  ...{ type: 'Split', pattern: { Regex: regex }, behavior, invert: false }
});

function byteLevel(part: Part): Part {
  if (part.use_regex === false) return part;
  if (part.add_prefix_space)
    throw refuse('a ByteLevel pre-tokenizer that adds a space and splits is not supported.');
  return sequence([by(GPT2, 'Isolated'), { ...part, use_regex: false }]);
}

/** `split` cuts before every "▁"; it holds where the file does not say. */
function metaspace(part: Part): Part {
  if (part.split === false) return part;
  const mark = { String: part.replacement ?? '▁' };
  return sequence([part, split({ type: 'Split', pattern: mark, behavior: 'MergedWithNext' })]);
}

function split(part: Part): Part {
  const pattern = source(part.pattern as Record<string, string>);
  const other = `(?:(?!${pattern})[\\s\\S])`;
  const kind = `${part.invert ? 'inverted ' : ''}${String(part.behavior)}`;
  switch (kind) {
    case 'Isolated':
    case 'inverted Isolated':
      return by(pattern, 'Isolated');
    case 'Contiguous':
      return by(`(?:${pattern})+`, 'Isolated');
    case 'MergedWithPrevious':
      return by(`${other}*(?:${pattern})|${other}+`, 'Isolated');
    case 'MergedWithNext':
      return by(`(?:${pattern})${other}*|${other}+`, 'Isolated');
    case 'Removed':
      // JavaScript's split gives back what a group captured.
      if (/(?<!\\)\((?!\?)/.test(pattern)) throw refuse('its Split removes by a pattern with groups.');
      return by(pattern, 'Removed');
    case 'inverted Removed':
      return { ...by(pattern, 'Removed'), invert: true };
    default:
      throw refuse(`its Split behaves as "${kind}", which is not supported.`);
  }
}

function source(pattern: Record<string, string>): string {
  if (pattern.Regex !== undefined) return pattern.Regex;
  return pattern.String!.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
