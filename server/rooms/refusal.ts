import { close } from '#wire/room.ts';

type Code = (typeof close)[keyof typeof close];

/** Ends the socket that sent the frame; nothing of the frame has been applied. */
export class Refusal extends Error {
  readonly code: Code;

  /** `reason` goes into the close frame, which holds 123 bytes at most. */
  constructor(code: Code, reason: string) {
    super(reason);
    this.code = code;
  }
}

export const malformed = (reason: string) => new Refusal(close.malformed, reason);
export const notAllowed = (reason: string) => new Refusal(close.notAllowed, reason);
export const tooLarge = (reason: string) => new Refusal(close.tooLarge, reason);
export const tooFast = (reason: string) => new Refusal(close.tooFast, reason);
