import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['build', '.svelte-kit', 'node_modules', 'src/lib/paraglide', 'trainer', 'data', 'drizzle'] },
  js.configs.recommended,
  ts.configs.recommended,
  svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig } }
  },
  {
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Links are plain paths below one origin; a base path is not supported.
      'svelte/no-navigation-without-resolve': 'off',
      'no-undef': 'off'
    }
  },
  {
    files: ['src/**'],
    ignores: ['src/lib/ui/again.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          name: '$app/navigation',
          importNames: ['invalidate', 'invalidateAll'],
          message: 'It drops a navigation that is under way; readAgain (src/lib/ui/again.ts) waits for it.'
        }
      ]
    }
  }
);
