import { spawn } from 'node:child_process';
import { holdFor } from './lock.mjs';

/** Runs a program quietly; on failure the error carries the last lines it printed. */
export function quietly(program, args, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    holdFor(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (output = (output + chunk).slice(-20_000)));
    child.on('error', (error) => fail(new Error(`${program} could not be started: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) done();
      else {
        const last = output.trim().split('\n').slice(-25).join('\n');
        fail(
          new Error(`${[program, ...args].join(' ')} failed${signal ? ` (${signal})` : ''}:\n${last}`.trim())
        );
      }
    });
  });
}
