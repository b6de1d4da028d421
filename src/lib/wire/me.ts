import { z } from 'zod';
import { Role } from './project.ts';

/** Who is asking. */
export const Me = z.object({
  user: z.object({ id: z.string(), name: z.string(), email: z.string() }),
  instance_owner: z.boolean()
});
export type Me = z.infer<typeof Me>;

export const Invitation = z.object({
  email: z.string(),
  project: z.object({ id: z.string(), name: z.string() }),
  role: Role,
  /** True: the address has an account already and signs in instead of choosing a password. */
  has_account: z.boolean()
});
export type Invitation = z.infer<typeof Invitation>;

/** Without a session `name` and `password` make the account; with one they are left out. */
export const AcceptInvitation = z.strictObject({
  name: z.string().trim().min(1).max(120).optional(),
  password: z.string().min(10).max(128).optional()
});

export const NewToken = z.strictObject({
  name: z.string().trim().min(1).max(120),
  project: z.string().optional()
});
export const TokenCreated = z.object({ id: z.string(), token: z.string() });
export const Token = z.object({
  id: z.string(),
  name: z.string(),
  project: z.string().nullable(),
  created_at: z.string(),
  last_used_at: z.string().nullable()
});
export type TokenShown = z.infer<typeof Token>;
