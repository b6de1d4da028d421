CREATE TABLE "strength_fit" (
	"project_id" text PRIMARY KEY NOT NULL,
	"fit" jsonb NOT NULL,
	"judgements" integer NOT NULL,
	"scored_to" integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "task_uncertainty" (
	"task_id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"number" integer NOT NULL,
	"value" double precision NOT NULL
);
--> statement-breakpoint
ALTER TABLE "project" ADD COLUMN "task_order" text DEFAULT 'arrival' NOT NULL;--> statement-breakpoint
ALTER TABLE "project" ADD COLUMN "random_share" double precision DEFAULT 0.2 NOT NULL;--> statement-breakpoint
ALTER TABLE "lease" ADD COLUMN "picked" text;--> statement-breakpoint
ALTER TABLE "strength_fit" ADD CONSTRAINT "strength_fit_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."project"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "task_uncertainty" ADD CONSTRAINT "task_uncertainty_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."project"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "task_uncertainty_most" ON "task_uncertainty" USING btree ("project_id","value" DESC NULLS FIRST,"number");--> statement-breakpoint
CREATE INDEX "task_uncertainty_number" ON "task_uncertainty" USING btree ("project_id","number");