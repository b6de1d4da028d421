ALTER TABLE "member" ADD COLUMN "goal" integer;--> statement-breakpoint
ALTER TABLE "project" ADD COLUMN "due_on" date;--> statement-breakpoint
ALTER TABLE "lease" ADD COLUMN "ranked_at" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "lease_ranked" ON "lease" USING btree ("project_id","ranked_at","user_id") WHERE "lease"."ranked_at" is not null;--> statement-breakpoint
-- What was judged before days were counted.
UPDATE "lease" SET "ranked_at" = (SELECT min("submitted_at") FROM "ranking" "r" WHERE "r"."task_id" = "lease"."task_id" AND "r"."kind" = 'review' AND "r"."rater" = "lease"."user_id") WHERE "version" > 0;
