import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../..', import.meta.url).pathname;
const read = (path: string) => JSON.parse(readFileSync(`${root}/${path}`, 'utf8'));
const { locales } = read('project.inlang/settings.json') as { locales: string[] };

type Plural = { declarations: string[]; selectors: string[]; match: Record<string, string> }[];
type Catalogue = Record<string, string | Plural>;

const catalogueOf = (locale: string): Catalogue =>
  Object.assign(
    {},
    ...readdirSync(`${root}/messages/${locale}`).map((file) => read(`messages/${locale}/${file}`))
  );

const english = catalogueOf('en');
const textsOf = (message: string | Plural) =>
  typeof message === 'string' ? [message] : message.flatMap(({ match }) => Object.values(match));
const variablesIn = (message: string | Plural) =>
  [...new Set(textsOf(message).flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();

/** The same word in English and another language, and meant to be. */
const SHARED = new Set(
  (
    'Adapter|Prompt|Prompts|{number} · {begin}|Top-p|Top-k|Concord|{page} · Concord|Import|Person|System|{tiers}, {how}|' +
    'Status|Name|Beta|Alpha|Blind|Base|{n} token|{n} tokens|{rate} tokens/s|no|{n} tokens/s|nats'
  ).split('|')
);

test.each(locales.filter((locale) => locale !== 'en'))(
  'the catalogue %s says everything that the English one says',
  (locale) => {
    const catalogue = catalogueOf(locale);
    expect(Object.keys(catalogue).sort()).toEqual(Object.keys(english).sort());
    const categories = new Intl.PluralRules(locale).resolvedOptions().pluralCategories;
    for (const [key, message] of Object.entries(catalogue)) {
      const original = english[key]!;
      expect(variablesIn(message), `${locale}: variables of ${key}`).toEqual(variablesIn(original));
      expect(typeof message, `${locale}: ${key} has forms for numbers`).toBe(typeof original);
      expect(
        textsOf(message).every((text) => text.trim()),
        `${locale}: ${key} is empty`
      ).toBe(true);
      if (typeof message === 'string' || typeof original === 'string') continue;
      for (const [at, { match, selectors, declarations }] of message.entries()) {
        expect({ selectors, declarations }).toEqual({
          selectors: original[at]!.selectors,
          declarations: original[at]!.declarations
        });
        const forms = Object.keys(match).map((form) => form.split('=')[1]);
        expect(forms).toContain('*');
        for (const form of forms) expect([...categories, '*'], `${locale}: ${key}`).toContain(form);
        // Where a language counts by more forms than one and the rest, it has them.
        if (categories.includes('few')) expect(forms, `${locale}: ${key}`).toContain('few');
      }
    }
  }
);

test.each(locales.filter((locale) => locale !== 'en'))(
  'nothing in the catalogue %s is English that was forgotten',
  (locale) => {
    const catalogue = catalogueOf(locale);
    const same = Object.entries(catalogue).filter(
      ([key, message]) =>
        JSON.stringify(message) === JSON.stringify(english[key]) &&
        !textsOf(message).every((text) => SHARED.has(text))
    );
    expect(same.map(([key]) => key)).toEqual([]);
  }
);
