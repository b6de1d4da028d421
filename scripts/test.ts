// Runs every suite and ends with one line that adds them up. A suite that cannot be counted counts as one failure.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Suite {
  name: string;
  run(): Promise<Counts>;
}

const reports = mkdtempSync(join(tmpdir(), 'concord-reports-'));
const wanted = process.argv.slice(2);

const suites: Suite[] = [
  check('format', 'prettier', ['--check', '.']),
  check('lint', 'eslint', ['.']),
  check('types', 'svelte-check', ['--tsconfig', './tsconfig.json', '--output', 'human']),
  { name: 'trainer', run: trainer },
  vitest('unit and api', 'vitest.config.ts'),
  vitest('browser', 'vitest.browser.config.ts')
];

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const lines: string[] = [];
await command('svelte-kit', ['sync']);
await command('paraglide-js', [
  'compile',
  '--project',
  './project.inlang',
  '--outdir',
  './src/lib/paraglide'
]);
for (const suite of suites.filter(({ name }) => !wanted.length || wanted.includes(name))) {
  const started = Date.now();
  console.log(`\n=== ${suite.name}`);
  const counts = await suite.run();
  for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += counts[key];
  lines.push(`${suite.name.padEnd(14)} ${say(counts)} (${((Date.now() - started) / 1000).toFixed(0)} s)`);
}
rmSync(reports, { recursive: true, force: true });

// In CI nothing may be skipped: what a skip hides would be found by a user.
const skippedInCi = process.env.CI && total.skipped > 0;
if (skippedInCi) lines.push('Nothing may be skipped in CI.');
console.log(`\n${lines.join('\n')}\n${say(total)}`);
process.exitCode = total.failed > 0 || total.passed === 0 || skippedInCi ? 1 : 0;

function say({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

function check(name: string, program: string, args: string[]): Suite {
  return {
    name,
    async run() {
      const { code } = await command(program, args);
      return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
    }
  };
}

function vitest(name: string, config: string): Suite {
  return {
    name,
    async run() {
      const report = join(reports, `${config}.json`);
      await command('vitest', [
        'run',
        '--config',
        config,
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`
      ]);
      return readVitest(report);
    }
  };
}

function readVitest(report: string): Counts {
  try {
    const json = JSON.parse(readFileSync(report, 'utf8'));
    const skipped = json.numPendingTests + json.numTodoTests;
    // A file that failed to load holds no test that could fail.
    const brokenFiles = json.testResults.filter(
      (file: any) => file.status === 'failed' && !file.assertionResults.length
    );
    const failed = json.numFailedTests + brokenFiles.length;
    return { passed: json.numPassedTests, failed: json.success || failed ? failed : 1, skipped };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/**
 * Each test program of the trainer ends with its own counts. Those of the emulated GPU use one core
 * and no clock: they run beside the others.
 */
async function trainer(): Promise<Counts> {
  const sum: Counts = { passed: 0, failed: 0, skipped: 0 };
  const folder = 'trainer/build/tests';
  const programs = testPrograms(folder);
  const emulated = programs.filter((name) => name.startsWith('test_emulated_'));
  const others = programs.filter((name) => !emulated.includes(name));
  await Promise.all(
    [others, emulated].map(async (names) => {
      for (const name of names) {
        const { code, output } = await command(join(folder, name), [], 'at its end');
        const counts = /(\d+) passed, (\d+) failed, (\d+) skipped\s*$/.exec(output);
        if (!counts || (code !== 0 && Number(counts[2]) === 0)) sum.failed++;
        sum.passed += Number(counts?.[1] ?? 0);
        sum.failed += Number(counts?.[2] ?? 0);
        sum.skipped += Number(counts?.[3] ?? 0);
      }
    })
  );
  return sum;
}

function testPrograms(folder: string): string[] {
  const programs = readdirSync(folder).filter((name) => !name.includes('.'));
  if (!programs.length)
    throw new Error(`There are no test programs in ${folder}; run npm test, which builds them.`);
  return programs.sort();
}

function command(
  program: string,
  args: string[],
  shown: 'as it comes' | 'at its end' = 'as it comes'
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (shown === 'as it comes') process.stdout.write(chunk);
      });
    child.on('error', (error) => resolve({ code: 1, output: String(error) }));
    child.on('close', (code) => {
      if (shown === 'at its end') console.log(`${program}\n${output}`);
      resolve({ code, output });
    });
  });
}
