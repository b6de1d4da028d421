ALTER TABLE "project" ADD COLUMN "strength" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "project" ADD COLUMN "span_categories" jsonb DEFAULT '["Wrong finding","Omission","Hallucination","Unsafe","Style"]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "ranking" ADD COLUMN "strength" integer;--> statement-breakpoint
ALTER TABLE "ranking" ADD COLUMN "spans" jsonb DEFAULT '[]'::jsonb NOT NULL;