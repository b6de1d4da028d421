import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { quietly } from './quietly.mjs';

/** What the system must give, and the package that brings it, by package manager. */
const PROGRAMS = {
  compiler: { what: 'a C++ compiler', apt: 'g++', other: 'gcc-c++', pacman: 'gcc', apk: 'g++' },
  cmake: { what: 'CMake', apt: 'cmake', other: 'cmake', pacman: 'cmake', apk: 'cmake', brew: 'cmake' },
  make: { what: 'make', apt: 'make', other: 'make', pacman: 'make', apk: 'make' },
  openblas: {
    what: 'OpenBLAS',
    ...{ apt: 'libopenblas-dev', other: 'openblas-devel', pacman: 'openblas', apk: 'openblas-dev' }
  },
  chromium: {
    what: 'Chromium',
    ...{ apt: 'chromium', other: 'chromium', pacman: 'chromium', apk: 'chromium', brew: 'chromium' }
  },
  // Tests open the archives we write with a reader that is not ours.
  python: {
    what: 'Python 3',
    ...{ apt: 'python3', other: 'python3', pacman: 'python', apk: 'python3', brew: 'python' }
  }
};

const MANAGERS = [
  { program: 'apt-get', names: 'apt', command: 'apt-get install -y' },
  { program: 'dnf', names: 'other', command: 'dnf install -y' },
  { program: 'zypper', names: 'other', command: 'zypper install -y' },
  { program: 'pacman', names: 'pacman', command: 'pacman -S --noconfirm' },
  { program: 'apk', names: 'apk', command: 'apk add' },
  { program: 'brew', names: 'brew', command: 'brew install', asUser: true }
];

/** `trainer`: it is about to be built; `test`: the tests in a browser are about to run. */
export function missingPrograms({ trainer, test }) {
  const { compiler, cmake, make, openblas, chromium, python } = PROGRAMS;
  const missing = [];
  if (trainer) {
    if (!has(process.env.CXX ?? 'c++') && !has('g++') && !has('clang++')) missing.push(compiler);
    if (!has('cmake')) missing.push(cmake);
    if (!has('make') && !has('ninja')) missing.push(make);
  }
  if (process.platform === 'linux' && !hasOpenBlas()) missing.push(openblas);
  if (test && !hasChromium()) missing.push(chromium);
  if (test && !has('python3')) missing.push(python);
  return missing;
}

const has = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

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

function hasChromium() {
  const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  return places.some(existsSync) || Boolean(process.env.CHROMIUM);
}

/** Installs what is missing where that is allowed, else says the command that does. */
export async function installSystemPackages(needs) {
  const missing = missingPrograms(needs);
  const whats = missing.map(({ what }) => what).join(', ');
  const manager = MANAGERS.find(({ program }) => has(program));
  const command = manager && commandOf(manager, missing);
  if (!command)
    throw new Error(
      `Concord needs ${whats}. Install them with your system's package manager, then start again.`
    );
  const asked = `Concord needs ${whats}. Install them with:\n\n  ${command}\n\nthen start again.`;
  if (manager.program !== 'apt-get' || process.getuid?.() !== 0) throw new Error(asked);
  const [, ...args] = command.split(' ');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await quietly('apt-get', ['update', '-qq'], { env });
    await quietly('apt-get', [...args, '-qq', '--no-install-recommends'], { env });
  } catch (error) {
    throw new Error(`${asked}\n\nTrying that did not work here: ${error.message}`, { cause: error });
  }
  const still = missingPrograms(needs);
  if (still.length)
    throw new Error(`Still missing after ${command}: ${still.map(({ what }) => what).join(', ')}.`);
}

function commandOf({ names, command, asUser }, missing) {
  const known = missing.map((item) => item[names]);
  // Apple brings the compiler and make by itself, and BLAS with the system.
  const apple = names === 'brew' && known.includes(undefined) ? 'xcode-select --install' : '';
  const packages = known.filter(Boolean);
  const sudo = asUser || process.getuid?.() === 0 ? '' : 'sudo ';
  const install = packages.length ? `${sudo}${command} ${packages.join(' ')}` : '';
  return [apple, install].filter(Boolean).join(' && ');
}
