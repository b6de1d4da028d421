import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { read, root, trackedFiles } from './files.ts';

const files = trackedFiles();
const code = files.filter(
  (file) => /\.(ts|svelte|mjs|js|cpp|h|cu|cuh)$/.test(file) && !file.startsWith('drizzle/')
);

test('no room is called by what it is not', () => {
  expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.)/.test(file))).toEqual([]);
});

test('nothing is left for later and no test is switched off', () => {
  const marks = /\b(TODO|FIXME|XXX|HACK)\b|\b(test|it|describe)\.(skip|only)\(/;
  const found = code.filter((file) => file !== 'tests/tidy/tidy.test.ts' && marks.test(read(file)));
  expect(found).toEqual([]);
});

test('files are short enough to be one topic', () => {
  const long = code.filter((file) => read(file).split('\n').length > 400);
  expect(long).toEqual([]);
});

test('no committed text carries a path of the machine it was written on', () => {
  const texts = files.filter((file) => /\.(ts|svelte|mjs|js|cpp|h|md|json|css|sh)$/.test(file));
  const paths = new RegExp(['/ro' + 'ot/', '/ho' + 'me/[a-z]+/', '/wo' + 'rk/'].join('|'));
  // These name /root on purpose: PostgreSQL cannot be entered there by another user.
  const allowed = ['server/db/binaries.ts'];
  expect(texts.filter((file) => !allowed.includes(file) && paths.test(read(file)))).toEqual([]);
});

test('every file that ARCHITECTURE.md and README.md name exists', () => {
  for (const page of ['ARCHITECTURE.md', 'README.md']) {
    const named = [
      ...read(page).matchAll(/`([a-z.][\w./[\]-]*\/[\w./[\]-]*|[\w-]+\.(?:ts|mjs|md|json|js))`/g)
    ].map((found) => found[1]!);
    const made = ['trainer/build', 'node_modules', 'data/', './data', 'build/', '../shared'];
    const missing = named.filter(
      (name) => !made.some((prefix) => name.startsWith(prefix)) && !existsSync(join(root, name))
    );
    expect([page, missing]).toEqual([page, []]);
  }
});

/** Rooms in flow order: each may import only those before it, through their index.ts. */
const ROOMS = [
  'intake',
  'tasks',
  'rooms',
  'rankings',
  'panels',
  'norming',
  'pairs',
  'priority',
  'datasets',
  'runs',
  'artifacts',
  'evals'
];
const FOUNDATIONS = ['db', 'auth', 'audit', 'net'];
/** The composition root and its faces may import everything. */
const roomOf = (file: string) => /^server\/([a-z]+)\//.exec(file)?.[1];

function importsOf(file: string): { from: string; typeOnly: boolean }[] {
  const pattern =
    /(?:^|\n)\s*(import|export)\s+(type\s)?[^;'"]*?from\s+['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/g;
  return [...read(file).matchAll(pattern)].map((found) => ({
    from: (found[3] ?? found[4])!,
    typeOnly: Boolean(found[2])
  }));
}

function target(file: string, from: string): string {
  if (from.startsWith('#')) return `src/lib/${from.slice(1)}`;
  if (from.startsWith('$lib/')) return `src/lib/${from.slice(5)}`;
  return from.startsWith('.') ? relative(root, join(root, dirname(file), from)) : from;
}

const production = files.filter((file) => /\.(ts|svelte)$/.test(file) && !/\.test\.ts$|testing/.test(file));

test('the domain imports nothing but itself and wire types', () => {
  const bad = production
    .filter((file) => file.startsWith('src/lib/domain/'))
    .flatMap((file) => importsOf(file).map(({ from }) => ({ file, to: target(file, from) })))
    .filter(({ to }) => !/^src\/lib\/(domain|wire)\//.test(to));
  expect(bad).toEqual([]);
});

test('browser code never imports the server', () => {
  const bad = production
    .filter((file) => file.startsWith('src/') && !/\.server\.ts$|\+server\.ts$|app\.d\.ts$/.test(file))
    .flatMap((file) => importsOf(file).map(({ from }) => ({ file, to: target(file, from) })))
    .filter(({ to }) => to.startsWith('server/'));
  expect(bad).toEqual([]);
});

test('a flow room imports foundations, shared code and earlier rooms through their index', () => {
  const bad: string[] = [];
  for (const file of production.filter((name) => roomOf(name))) {
    const room = roomOf(file)!;
    for (const { from } of importsOf(file)) {
      const other = roomOf(target(file, from));
      if (!other || other === room || FOUNDATIONS.includes(other)) continue;
      const earlier = ROOMS.indexOf(other) >= 0 && ROOMS.indexOf(other) < ROOMS.indexOf(room);
      // Foreign keys need the table of the room they point to; reading it is still that room's own business.
      const foreignKey = file.endsWith('/tables.ts') && from.endsWith('/tables.ts');
      if (!(earlier && (from.endsWith('/index.ts') || foreignKey))) bad.push(`${file} -> ${from}`);
    }
  }
  expect(bad).toEqual([]);
});

const ONLY_IN: [RegExp, RegExp, string][] = [
  [/^(yjs|y-protocols|lib0)(\/|$)/, /^(server\/rooms\/|src\/lib\/live\/|bench\/|tests\/)/, 'Yjs'],
  [/^node:child_process$/, /^(server\/runs\/|server\/db\/|scripts\/|demo\/|bench\/|tests\/)/, 'processes'],
  [
    /^(node:(https?|net|tls|dgram))$/,
    /^(server\/net\/|server\/http\.ts|server\/lifecycle\.ts|server\/app\.ts|server\/rooms\/|bench\/|tests\/)/,
    'sockets'
  ]
];

test.each(ONLY_IN)('%s is imported only where it belongs', (what, where) => {
  const bad = production.filter(
    (file) => !where.test(file) && importsOf(file).some(({ from, typeOnly }) => !typeOnly && what.test(from))
  );
  expect(bad).toEqual([]);
});
