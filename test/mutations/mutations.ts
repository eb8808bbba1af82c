import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { repositoryRoot } from "../support/hosts.ts";
import { editSchema, timesIn } from "./edits.ts";

const mutationSchema = editSchema.extend({
	/** What is wrong once the edit is made. */
	name: z.string(),
	/** Unit test files below `test/unit`, without `.test.ts`: one of them has to fail. */
	tests: z.array(z.string()).min(1),
});

export type Mutation = z.output<typeof mutationSchema>;

export const mutations: readonly Mutation[] = z
	.array(mutationSchema)
	.parse(JSON.parse(readFileSync(new URL("mutations.json", import.meta.url), "utf8")));

/** The test files of a mutation, as paths from the root of the repository. */
export function testFilesOf({ tests }: Mutation): string[] {
	return tests.map((test) => `test/unit/${test}.test.ts`);
}

/** Mutations that cannot be made: their text does not stand in the source exactly once, or a test file is gone. */
export function misfits(of: readonly Mutation[] = mutations): string[] {
	return of.flatMap((mutation) => {
		const { name, file, from } = mutation;
		if (!existsSync(join(repositoryRoot, file))) return [`${name}: there is no ${file}`];
		const times = timesIn(mutation);
		const gone = testFilesOf(mutation).filter((path) => !existsSync(join(repositoryRoot, path)));
		return [
			...(times === 1 ? [] : [`${name}: ${file} has ${JSON.stringify(from)} ${times} times`]),
			...gone.map((path) => `${name}: there is no ${path}`),
		];
	});
}
