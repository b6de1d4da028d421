-- What tasks were revealed with is theirs, now that a project's overlap may change.
UPDATE "task" SET "overlap" = "project"."overlap" FROM "project" WHERE "project"."id" = "task"."project_id" AND "task"."status" = 'revealed' AND "task"."overlap" IS NULL;
