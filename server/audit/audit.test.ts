import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../db/testing.ts';
import { appendAudit, verifyAudit } from './index.ts';

let test_: TestDatabase;
beforeAll(async () => {
  test_ = await testDatabase();
  const add = (n: number) =>
    test_.db.transaction((tx) =>
      appendAudit(tx, {
        actor: 'system',
        action: 'test.add',
        object: `object ${n}`,
        projectId: null,
        facts: { n }
      })
    );
  await Promise.all(Array.from({ length: 12 }, (_, n) => add(n)));
});
afterAll(() => test_.close());

test('rows written at once form one gapless chain', async () => {
  const { rows } = await test_.db.$client.query('select seq from audit_row order by seq');
  expect(rows.map((row) => row.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  expect(await verifyAudit(test_.db)).toBeNull();
});

test.each([
  ['an edit', `update audit_row set facts = '{"n":99}' where seq = 5`, 5],
  ['a removed row', 'delete from audit_row where seq = 7', 7],
  ['a changed time', `update audit_row set at = at + interval '1 second' where seq = 3`, 3]
])('%s shows at its row', async (_, damage, seq) => {
  const client = await test_.db.$client.connect();
  try {
    await client.query('create table if not exists kept as select * from audit_row');
    await client.query('alter table audit_row disable trigger user');
    await client.query(damage);
    expect(await verifyAudit(test_.db)).toBe(seq);
    await client.query('delete from audit_row; insert into audit_row select * from kept');
    await client.query('alter table audit_row enable trigger user');
  } finally {
    client.release();
  }
  expect(await verifyAudit(test_.db)).toBeNull();
});

test('the database itself refuses to change or delete a row', async () => {
  await expect(test_.db.$client.query('delete from audit_row where seq = 1')).rejects.toThrow(/append-only/);
  await expect(test_.db.$client.query("update audit_row set object = 'x'")).rejects.toThrow(/append-only/);
});
