ALTER TABLE "lease" ADD COLUMN "version" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "task" ADD COLUMN "raters" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX "task_status" ON "task" USING btree ("project_id","status","number");