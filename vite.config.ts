import { paraglideVitePlugin } from '@inlang/paraglide-js';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [
    paraglideVitePlugin({
      project: './project.inlang',
      outdir: './src/lib/paraglide',
      strategy: ['cookie', 'preferredLanguage', 'baseLocale']
    }),
    sveltekit()
  ],
  worker: { format: 'es' },
  // Only the preview's worker imports these; found when it first starts, they would make Vite reload the page under it.
  optimizeDeps: { include: ['onnxruntime-web/wasm', '@huggingface/jinja', '@huggingface/tokenizers'] },
  // Small fonts would stand in the styles as data: addresses, which the content policy refuses.
  build: { target: 'es2022', assetsInlineLimit: 0 }
});
