import { GENERATION, type Call, type Identifier, type Node, type Parameter, type Target } from './ast.ts';
import { applyFilter } from './filters.ts';
import { member, slice } from './members.ts';
import { arithmetic, binary } from './operators.ts';
import { text } from './print.ts';
import { TESTS } from './tests.ts';
import {
  Float,
  iterate,
  Namespace,
  TemplateFault,
  truth,
  Tuple,
  typeName,
  Undefined,
  type Callable,
  type Keywords,
  type Value
} from './values.ts';

/** Names seen from some place of a template: its own, then those around it. */
export class Scope {
  readonly names = new Map<string, Value>();
  readonly #outer: Scope | null;

  constructor(outer: Scope | null) {
    this.#outer = outer;
  }

  get(name: string): Value {
    const value = this.names.get(name);
    if (value !== undefined) return value;
    return this.#outer ? this.#outer.get(name) : new Undefined(`'${name}' is undefined`);
  }
}

/** Text as it is written, and which of it stood between `{% generation %}` and `{% endgeneration %}`. */
export class Output {
  text = '';
  readonly generation: [start: number, end: number][] = [];
}

class Break extends Error {}
class Continue extends Error {}

export function run(body: Node[], scope: Scope, out: Output): void {
  for (const node of body) statement(node, scope, out);
}

/** What a body writes, as a value. A mark inside could not be placed in the whole, so there is none. */
function capture(body: Node[], scope: Scope): string {
  const out = new Output();
  run(body, scope, out);
  if (out.generation.length)
    throw new TemplateFault('{% generation %} inside a macro, a call or a set block cannot be placed');
  return out.text;
}

function statement(node: Node, scope: Scope, out: Output): void {
  switch (node.type) {
    case 'Comment':
      return;
    case 'If':
      return run(truth(evaluate(node.test, scope)) ? node.body : node.alternate, scope, out);
    case 'For':
      return loop(node, scope, out);
    case 'Break':
      throw new Break();
    case 'Continue':
      throw new Continue();
    case 'Set':
      return assign(
        node.assignee,
        node.value ? evaluate(node.value, scope) : capture(node.body, new Scope(scope)),
        scope
      );
    case 'Macro':
      scope.names.set(node.name.value, macro(node.name.value, node.args, node.body, scope));
      return;
    case 'CallStatement': {
      if (isGeneration(node.call)) return generation(node.body, scope, out);
      const [args, keywords] = callArguments(node.call.args, scope);
      keywords.set('caller', macro('caller', node.callerArgs ?? [], node.body, scope));
      out.text += text(invoke(node.call.callee, args, keywords, scope));
      return;
    }
    case 'FilterStatement':
      out.text += text(filter(node.filter, capture(node.body, new Scope(scope)), scope));
      return;
    default:
      out.text += text(evaluate(node, scope));
  }
}

const isGeneration = ({ callee }: Call) => callee.type === 'Identifier' && callee.value === GENERATION;

function generation(body: Node[], scope: Scope, out: Output): void {
  const start = out.text.length;
  run(body, new Scope(scope), out);
  out.generation.push([start, out.text.length]);
}

/** Each round has a scope of its own, so nothing that is set in one is seen in the next. */
function loop(node: Node & { type: 'For' }, scope: Scope, out: Output): void {
  const filtered = node.iterable.type === 'SelectExpression' ? node.iterable : null;
  const round = (item: Value) => {
    const inner = new Scope(scope);
    unpack(node.loopvar, item, inner);
    return inner;
  };
  const items = iterate(evaluate(filtered ? filtered.lhs : node.iterable, scope)).filter(
    (item) => !filtered || truth(evaluate(filtered.test, round(item)))
  );
  let finished = false;
  for (const [i, item] of items.entries()) {
    const inner = round(item);
    inner.names.set('loop', loopState(items, i));
    try {
      run(node.body, inner, out);
      finished = true;
    } catch (error) {
      if (error instanceof Break) break;
      if (!(error instanceof Continue)) throw error;
    }
  }
  // As Jinja2 compiles it, `else` also follows rounds that were all left by `continue` or `break`.
  if (!finished) run(node.defaultBlock, new Scope(scope), out);
}

function loopState(items: Value[], i: number): Namespace {
  const beyond = new Undefined('there is no such item of the loop');
  return new Namespace(
    new Map<string, Value>([
      ['index', i + 1],
      ['index0', i],
      ['revindex', items.length - i],
      ['revindex0', items.length - i - 1],
      ['first', i === 0],
      ['last', i === items.length - 1],
      ['length', items.length],
      ['previtem', i > 0 ? items[i - 1]! : beyond],
      ['nextitem', i + 1 < items.length ? items[i + 1]! : beyond]
    ])
  );
}

function unpack(target: Target, value: Value, scope: Scope): void {
  if (target.type === 'Identifier') {
    scope.names.set(target.value, value);
    return;
  }
  const items = iterate(value);
  if (items.length !== target.value.length)
    throw new TemplateFault(`${items.length} values cannot be unpacked into ${target.value.length} names`);
  target.value.forEach((one, i) => unpack(one as Target, items[i]!, scope));
}

function assign(target: Node, value: Value, scope: Scope): void {
  if (target.type !== 'MemberExpression') return unpack(target as Target, value, scope);
  const object = evaluate(target.object, scope);
  if (!(object instanceof Namespace))
    throw new TemplateFault('cannot assign attribute on non-namespace object');
  object.attributes.set((target.property as Identifier).value, value);
}

/** A macro sees the names around its definition, not those around its call. */
function macro(name: string, parameters: Parameter[], body: Node[], scope: Scope): Callable {
  return (args, keywords) => {
    const inner = new Scope(scope);
    const rest = new Map(keywords);
    const take = (key: string) => {
      const value = rest.get(key);
      rest.delete(key);
      return value;
    };
    parameters.forEach((parameter, i) => {
      const key = parameter.type === 'Identifier' ? parameter.value : parameter.key.value;
      const given = args[i] !== undefined ? args[i] : take(key);
      const fallback = () =>
        parameter.type === 'Identifier'
          ? new Undefined(`parameter '${key}' was not provided`)
          : evaluate(parameter.value, inner);
      inner.names.set(key, given !== undefined ? given : fallback());
    });
    const caller = take('caller');
    if (caller !== undefined) inner.names.set('caller', caller);
    if (args.length > parameters.length || rest.size)
      throw new TemplateFault(`macro '${name}' was given more than its ${parameters.length} argument(s)`);
    return capture(body, inner);
  };
}

function callArguments(nodes: Node[], scope: Scope): [Value[], Keywords] {
  const args: Value[] = [];
  const keywords: Keywords = new Map();
  for (const node of nodes) {
    if (node.type === 'KeywordArgumentExpression') keywords.set(node.key.value, evaluate(node.value, scope));
    else if (node.type === 'SpreadExpression') args.push(...iterate(evaluate(node.argument, scope)));
    else if (node.type === 'KeywordSpreadExpression') {
      const given = evaluate(node.argument, scope);
      if (!(given instanceof Map)) throw new TemplateFault('argument after ** must be a mapping');
      for (const [key, value] of given) keywords.set(key, value);
    } else args.push(evaluate(node, scope));
  }
  return [args, keywords];
}

function invoke(callee: Node, args: Value[], keywords: Keywords, scope: Scope): Value {
  const called = evaluate(callee, scope);
  if (called instanceof Undefined) throw new TemplateFault(called.what);
  if (typeof called !== 'function') throw new TemplateFault(`'${typeName(called)}' object is not callable`);
  return called(args, keywords);
}

function filter(node: Identifier | Call, value: Value, scope: Scope): Value {
  if (node.type === 'Identifier') return applyFilter(node.value, value, [], new Map());
  const [args, keywords] = callArguments(node.args, scope);
  return applyFilter((node.callee as Identifier).value, value, args, keywords);
}

export function evaluate(node: Node, scope: Scope): Value {
  switch (node.type) {
    case 'StringLiteral':
    case 'IntegerLiteral':
      return node.value;
    case 'FloatLiteral':
      return new Float(node.value);
    case 'ArrayLiteral':
      return node.value.map((item) => evaluate(item, scope));
    case 'TupleLiteral':
      return Tuple.from(node.value.map((item) => evaluate(item, scope))) as Tuple;
    case 'ObjectLiteral':
      return new Map(
        [...node.value].map(([key, item]) => [text(evaluate(key, scope)), evaluate(item, scope)])
      );
    case 'Identifier':
      return scope.get(node.value);
    case 'MemberExpression':
      return memberOf(node, scope);
    case 'CallExpression':
      return invoke(node.callee, ...callArguments(node.args, scope), scope);
    case 'BinaryExpression': {
      const left = evaluate(node.left, scope);
      if (node.operator.value === 'and') return truth(left) ? evaluate(node.right, scope) : left;
      if (node.operator.value === 'or') return truth(left) ? left : evaluate(node.right, scope);
      return binary(node.operator.value, left, evaluate(node.right, scope));
    }
    case 'UnaryExpression': {
      const value = evaluate(node.argument, scope);
      return node.operator.value === 'not' ? !truth(value) : arithmetic(node.operator.value, 0, value);
    }
    case 'FilterExpression':
      return filter(node.filter, evaluate(node.operand, scope), scope);
    case 'TestExpression':
      return TESTS[node.test.value]!(evaluate(node.operand, scope), []) !== node.negate;
    case 'Ternary':
      return evaluate(truth(evaluate(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
    case 'SelectExpression':
      return truth(evaluate(node.test, scope))
        ? evaluate(node.lhs, scope)
        : new Undefined('the inline if-expression evaluated to false and no else section was defined');
    default:
      throw new TemplateFault(`"${node.type}" does not belong here`);
  }
}

function memberOf(node: Node & { type: 'MemberExpression' }, scope: Scope): Value {
  const object = evaluate(node.object, scope);
  const { property, computed } = node;
  if (property.type === 'SliceExpression') {
    const [start, stop, step] = [property.start, property.stop, property.step].map((one) =>
      one ? evaluate(one, scope) : null
    );
    return slice(object, start!, stop!, step!);
  }
  const key = computed ? evaluate(property, scope) : (property as { value: string | number }).value;
  return member(object, key, computed);
}
