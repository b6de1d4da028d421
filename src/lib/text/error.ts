/**
 * A tokenizer or template that cannot be used, in one sentence. `special_in_text` and `template_refused` speak of one
 * conversation, the others of the model.
 */
export class TextError extends Error {
  readonly code: 'bad_tokenizer' | 'bad_template' | 'does_not_fit' | 'special_in_text' | 'template_refused';

  constructor(code: TextError['code'], message: string) {
    super(message);
    this.name = 'TextError';
    this.code = code;
  }
}
