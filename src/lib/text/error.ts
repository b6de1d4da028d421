/** A tokenizer or template that cannot be used, in one sentence. */
export class TextError extends Error {
  readonly code: 'bad_tokenizer' | 'bad_template' | 'does_not_fit' | 'template_refused';

  constructor(code: TextError['code'], message: string) {
    super(message);
    this.name = 'TextError';
    this.code = code;
  }
}
