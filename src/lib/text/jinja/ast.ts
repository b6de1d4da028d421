import { parse, tokenize } from '@huggingface/jinja';
import { TemplateFault } from './values.ts';

/** The parser's tree; the library does not export these types. */
export type Node =
  | { type: 'If'; test: Node; body: Node[]; alternate: Node[] }
  | { type: 'For'; loopvar: Target; iterable: Node; body: Node[]; defaultBlock: Node[] }
  | { type: 'Break' | 'Continue' | 'Comment' }
  | { type: 'Set'; assignee: Node; value: Node | null; body: Node[] }
  | { type: 'Macro'; name: Identifier; args: Parameter[]; body: Node[] }
  | { type: 'CallStatement'; call: Call; callerArgs: Parameter[] | null; body: Node[] }
  | { type: 'FilterStatement'; filter: Identifier | Call; body: Node[] }
  | { type: 'MemberExpression'; object: Node; property: Node; computed: boolean }
  | { type: 'IntegerLiteral' | 'FloatLiteral'; value: number }
  | { type: 'StringLiteral'; value: string }
  | { type: 'ArrayLiteral'; value: Node[] }
  | { type: 'ObjectLiteral'; value: Map<Node, Node> }
  | { type: 'BinaryExpression'; operator: { value: string }; left: Node; right: Node }
  | { type: 'UnaryExpression'; operator: { value: string }; argument: Node }
  | { type: 'FilterExpression'; operand: Node; filter: Identifier | Call }
  | { type: 'TestExpression'; operand: Node; negate: boolean; test: Identifier }
  | { type: 'SelectExpression'; lhs: Node; test: Node }
  | { type: 'SliceExpression'; start?: Node; stop?: Node; step?: Node }
  | { type: 'Ternary'; condition: Node; trueExpr: Node; falseExpr: Node }
  | { type: 'SpreadExpression' | 'KeywordSpreadExpression'; argument: Node }
  | Keyword
  | Identifier
  | Call
  | Tuple;
export type Identifier = { type: 'Identifier'; value: string };
export type Call = { type: 'CallExpression'; callee: Node; args: Node[] };
export type Keyword = { type: 'KeywordArgumentExpression'; key: Identifier; value: Node };
type Tuple = { type: 'TupleLiteral'; value: Node[] };
export type Target = Identifier | Tuple;
export type Parameter = Identifier | Keyword;

/** Under this name the evaluator finds what stands between `{% generation %}` and `{% endgeneration %}`. */
export const GENERATION = 'generation';

/**
 * The tree of a template under the white-space rules of `transformers` (trim_blocks, lstrip_blocks). Two things are done
 * before the library's parser sees it: line ends become "\n", as Jinja2's lexer has them, and the `generation` tag
 * becomes the call block that it is in transformers, where the library would throw it away.
 */
export function parseTemplate(source: string): Node[] {
  const plain = source
    .replace(/\r\n?/g, '\n')
    .replace(/(\{%-?\s*)generation(\s*-?%\})/g, `$1call ${GENERATION}()$2`)
    .replace(/(\{%-?\s*)endgeneration(\s*-?%\})/g, '$1endcall$2');
  const tokens = tokenize(plain, { trim_blocks: true, lstrip_blocks: true });
  refuseChains(tokens);
  return parse(tokens).body as unknown as Node[];
}

/** After these another comparison may stand at the same depth of brackets. */
const APART = /^(and|or|if|else|,|:|=)$/;

/**
 * Python reads `a < b < c` as `a < b and b < c`; the parser would make `(a < b) < c` of it, and its tree no longer tells
 * one from the other.
 */
function refuseChains(tokens: ReturnType<typeof tokenize>): void {
  let compared = [false];
  for (const { type, value } of tokens) {
    if (type === 'Text' || type === 'StringLiteral') continue;
    if (type === 'OpenStatement' || type === 'OpenExpression') compared = [false];
    else if (type.startsWith('Open')) compared.push(false);
    else if (type.startsWith('Close') && compared.length > 1) compared.pop();
    else if (type === 'ComparisonBinaryOperator' || value === 'in') {
      if (compared.at(-1)) throw new TemplateFault('A comparison of a comparison needs brackets, or "and".');
      compared[compared.length - 1] = true;
    } else if (APART.test(value)) compared[compared.length - 1] = false;
  }
}

/** Every node of a tree, itself included. */
export function* walk(node: unknown): Generator<Node> {
  if (Array.isArray(node)) for (const item of node) yield* walk(item);
  else if (node instanceof Map) for (const entry of node) yield* walk(entry);
  else if (node && typeof node === 'object') {
    if ('type' in node && typeof node.type === 'string') yield node as Node;
    yield* walk(Object.values(node));
  }
}
