import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

/** The real set-up over a folder of its own, where npm and CMake are scripts that write down what they were asked. */
let root: string;
let bin: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'concord-setup-'));
  bin = join(root, 'bin');
  await cp(new URL('../../scripts', import.meta.url).pathname, join(root, 'scripts'), { recursive: true });
  await write('package-lock.json', '{}');
  await write('trainer/CMakeLists.txt', 'project(fake)');
  await write('trainer/src/main.cpp', 'int main() {}');
  await write(
    'npm.mjs',
    `import { mkdirSync, appendFileSync } from 'node:fs';
     mkdirSync('node_modules', { recursive: true }); appendFileSync('calls', 'npm\\n');`
  );
  // Two at work at once would find each other's folder.
  await program(
    'cmake',
    `case "$1" in --version) exit 0;; -S) echo configure >> calls; mkdir -p trainer/build; touch trainer/build/CMakeCache.txt; exit 0;; esac
mkdir working || echo together >> calls
sleep "$(cat slowness 2>/dev/null || echo 0)"
test -e broken && rm broken && rmdir working && echo broken >> calls && exit 1
rmdir working; echo build >> calls`
  );
  for (const name of ['c++', 'make']) await program(name, 'exit 0');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(name: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(join(root, name)), { recursive: true });
  await writeFile(join(root, name), text, { mode });
}

const program = (name: string, script: string) => write(`bin/${name}`, `#!/bin/sh\n${script}\n`, 0o755);

interface SetUp {
  child: ChildProcess;
  said(): string;
  ended: Promise<number | null>;
}

function setUp(path = `${bin}:/usr/bin:/bin`): SetUp {
  const child = spawn(process.execPath, ['scripts/setup.mjs', 'dev'], {
    cwd: root,
    env: { PATH: path, npm_execpath: join(root, 'npm.mjs') },
    stdio: ['ignore', 'pipe', 'pipe']
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, said: () => said, ended };
}

const calls = async () =>
  (await readFile(join(root, 'calls'), 'utf8').catch(() => '')).split('\n').slice(0, -1);
const compiling = () => existsSync(join(root, 'working'));
const done = ['npm', 'configure', 'build'];

test('each step is done once, and again when what it is made from changes', async () => {
  const first = setUp();
  expect([await first.ended, first.said()]).toEqual([0, expect.stringContaining('Setting up Concord')]);
  expect(await calls()).toEqual(done);
  const second = setUp();
  expect([await second.ended, second.said()]).toEqual([0, '']);
  await write('trainer/src/main.cpp', 'int main() { return 0; }');
  expect(await setUp().ended).toBe(0);
  expect(await calls()).toEqual([...done, 'configure', 'build']);
  await write('package-lock.json', '{ "name": "x" }');
  expect(await setUp().ended).toBe(0);
  expect(await calls()).toEqual([...done, 'configure', 'build', 'npm']);
});

test('a set-up that was killed leaves its compiler at work; the next waits for it and goes on', async () => {
  await write('slowness', '1.5');
  const killed = setUp();
  await expect.poll(compiling).toBe(true);
  killed.child.kill('SIGKILL');
  await killed.ended;
  await write('slowness', '0');
  const next = setUp();
  expect(await next.ended).toBe(0);
  expect(next.said()).toMatch(
    /^Another set-up is at work in this folder \(process \d+\); waiting for it\.$/m
  );
  expect(await calls()).toEqual([...done, 'configure', 'build']);
});

test('two at once: the second waits, and has nothing left to do', async () => {
  await write('slowness', '1');
  const first = setUp();
  await expect.poll(compiling).toBe(true);
  const second = setUp();
  expect([await first.ended, await second.ended]).toEqual([0, 0]);
  expect(second.said()).toMatch(/^Another set-up .* waiting for it\.\n$/);
  expect(await calls()).toEqual(done);
});

test('a build that nothing can go on with is begun anew, once', async () => {
  await setUp().ended;
  await write('trainer/src/main.cpp', 'int main() { return 0; }');
  await write('broken', '');
  expect(await setUp().ended).toBe(0);
  expect(await calls()).toEqual([...done, 'configure', 'broken', 'configure', 'build']);
});

test('a build that fails says so, and is tried again next time', async () => {
  await write('broken', '');
  const failed = setUp();
  expect(await failed.ended).toBe(1);
  expect(failed.said()).toContain('Set-up stopped at "trainer".');
  expect(await setUp().ended).toBe(0);
  expect(await calls()).toEqual(['npm', 'configure', 'broken', 'configure', 'build']);
});

test.each([
  ['apt-get', 'apt-get install -y g++ cmake make'],
  ['dnf', 'dnf install -y gcc-c++ cmake make'],
  ['pacman', 'pacman -S --noconfirm gcc cmake make']
])('without a compiler %s is named, before anything is done', async (manager, command) => {
  const bare = join(root, 'bare');
  await mkdir(bare);
  await symlink('/bin/sh', join(bare, 'sh'));
  await writeFile(join(bare, manager), '#!/bin/sh\ntest "$1" = --version\n', { mode: 0o755 });
  const refused = setUp(bare);
  expect(await refused.ended).toBe(1);
  const sudo = process.getuid!() === 0 ? '' : 'sudo ';
  expect(refused.said()).toContain(
    `Concord needs a C++ compiler, CMake, make. Install them with:\n\n  ${sudo}${command}\n\nthen start again.`
  );
  expect(await calls()).toEqual([]);
});
