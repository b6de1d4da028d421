ALTER TABLE "ranking" ADD COLUMN "shown" jsonb;--> statement-breakpoint
ALTER TABLE "ranking" ADD COLUMN "undoes" integer;--> statement-breakpoint
ALTER TABLE "lease" ADD COLUMN "seat" integer;