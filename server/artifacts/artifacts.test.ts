import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { trainerBuilt } from '../runs/testing-model.ts';
import { runsApp, type RunsApp } from '../runs/testing-runs.ts';
import { fitsZip, zip, zipBytes, type ZipEntry } from './zip.ts';

let t: RunsApp;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concord-zip-'));
  if (trainerBuilt) t = await runsApp();
});
afterAll(async () => {
  await t?.close();
  await rm(folder, { recursive: true });
});

const bytesOf = async (entries: ZipEntry[]) => {
  const chunks = [];
  for await (const chunk of zip(entries)) chunks.push(chunk);
  return Buffer.concat(chunks);
};

/** Checks the archive with a reader that is not ours; answers what stands in it, by name. */
function unzip(archive: string): Record<string, string> {
  const program =
    'import sys,json,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; ' +
    'print(json.dumps({i.filename: z.read(i).decode("latin1") for i in z.infolist()}))';
  const { status, stdout, stderr } = spawnSync('python3', ['-c', program, archive], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28
  });
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

test('an archive holds its files as they are, and is as long as it says', async () => {
  const contents = { 'a/empty': '', 'a/text.json': '{"r": 8}', 'a/large': 'weights '.repeat(40_000) };
  const entries: ZipEntry[] = [];
  for (const [name, text] of Object.entries(contents)) {
    const path = join(folder, name.slice(2));
    await writeFile(path, text);
    entries.push({ name, path, bytes: text.length, at: new Date('2026-11-24T12:34:56Z') });
  }
  const bytes = await bytesOf(entries);
  expect(bytes.length).toBe(zipBytes(entries));
  const archive = join(folder, 'archive.zip');
  await writeFile(archive, bytes);
  expect(unzip(archive)).toEqual(contents);
  const [, second] = entries;
  await expect(bytesOf([{ ...second!, bytes: 3 }])).rejects.toThrow('8 bytes, not 3');
});

test('what the format cannot hold is known before', () => {
  const entry = { name: 'x', path: '/dev/null', bytes: 2 ** 31, at: new Date() };
  expect([fitsZip([entry]), fitsZip([entry, entry])]).toEqual([true, false]);
});

test.skipIf(!trainerBuilt)(
  'an adapter is handed out as it was made, file by file and as an archive',
  async () => {
    const { project, dataset } = await t.dataset();
    const hyperparameters = { max_steps: 2, r: 2, learning_rate: 1e-3 };
    const { body } = await t.start({
      ...{ dataset, model: t.model, objective: 'dpo', hyperparameters, name: 'Ärzte: erste Runde' }
    });
    const run = await t.ended(body.id);
    const { body: adapter } = await t.call('GET', `/api/v1/adapters/${run.adapter}`);
    expect(adapter).toMatchObject({
      name: 'Ärzte: erste Runde',
      run: run.id,
      dataset,
      model: t.model,
      project
    });
    expect(adapter.files.map(({ name }: { name: string }) => name)).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors'
    ]);
    expect((await t.call('GET', `/api/v1/projects/${project}/adapters`)).body.items).toEqual([adapter]);

    const contents: Record<string, Buffer> = {};
    for (const { name, bytes, sha256 } of adapter.files) {
      const { response } = await t.call('GET', `/api/v1/adapters/${adapter.id}/files/${name}`);
      contents[name] = Buffer.from(await response.arrayBuffer());
      expect(contents[name].length).toBe(bytes);
      expect(response.headers.get('content-length')).toBe(String(bytes));
      expect(createHash('sha256').update(contents[name]).digest('hex')).toBe(sha256);
      const etag = response.headers.get('etag')!;
      const again = await t.call('GET', `/api/v1/adapters/${adapter.id}/files/${name}`, {
        headers: { 'if-none-match': etag }
      });
      expect(again.status).toBe(304);
    }
    // Where the base stands on this machine is nobody's business.
    expect(JSON.parse(contents['adapter_config.json']!.toString())).toMatchObject({
      ...{ peft_type: 'LORA', r: 2, base_model_name_or_path: 'tiny' }
    });

    const { response } = await t.call('GET', `/api/v1/adapters/${adapter.id}/download`);
    expect(response.headers.get('content-disposition')).toMatch(/filename="A-rzte-erste-Runde-\w{6}\.zip"/);
    const archive = join(folder, 'adapter.zip');
    await writeFile(archive, Buffer.from(await response.arrayBuffer()));
    const unpacked = Object.entries(unzip(archive));
    expect(unpacked.map(([name]) => name.split('/')[1])).toEqual(Object.keys(contents));
    for (const [name, text] of unpacked)
      expect(Buffer.from(text, 'latin1').equals(contents[name.split('/')[1]!]!)).toBe(true);

    for (const name of [
      '..',
      'adapter_model.safetensors.part',
      '..%2F..%2Fmodels%2Ftiny%2Fconfig.json',
      '%2Fetc%2Fpasswd'
    ])
      expect((await t.call('GET', `/api/v1/adapters/${adapter.id}/files/${name}`)).status).toBe(404);

    await rm(join(t.config.dataDir, 'adapters', adapter.id), { recursive: true });
    for (const path of ['files/adapter_model.safetensors', 'download']) {
      const { status, body } = await t.call('GET', `/api/v1/adapters/${adapter.id}/${path}`);
      expect([status, body.code]).toEqual([410, 'files_gone']);
    }
  }
);
