// Rows imported and pairs streamed per second through the whole server on a fresh embedded PostgreSQL.
//   node bench/import.ts [rows]
import setup from '../server/db/testing-cluster.ts';
import { testApp } from '../server/testing-app.ts';

const count = Number(process.argv[2] ?? 20_000);
const stopCluster = await setup();
const t = await testApp();
const rows = Array.from({ length: count }, (_, n) =>
  JSON.stringify({ prompt: `prompt ${n}`, chosen: `good ${n}`, rejected: `bad ${n}` })
).join('\n');

for (let round = 1; round <= 3; round++) {
  const project = await t.project();
  const started = performance.now();
  const { body } = await t.call('POST', `/api/v1/projects/${project}/imports`, {
    body: rows,
    headers: { 'content-type': 'application/jsonl' }
  });
  while ((await t.call('GET', `/api/v1/imports/${body.id}`)).body.status !== 'done')
    await new Promise((resolve) => setTimeout(resolve, 10));
  const imported = performance.now();
  const { response } = await t.call('GET', `/api/v1/projects/${project}/pairs?format=trl`);
  const pairs = (await response.text()).trimEnd().split('\n').length;
  const ended = performance.now();
  console.log(
    `round ${round}: ${perSecond(count, imported - started)} rows/s in, ${perSecond(pairs, ended - imported)} pairs/s out`
  );
}
await t.close();
await stopCluster();

function perSecond(things: number, milliseconds: number): number {
  return Math.round((things / milliseconds) * 1_000);
}
