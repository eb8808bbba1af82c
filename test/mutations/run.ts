/**
 * `npm run mutate -- [WORD]…`: makes each mutation of `mutations.json` alone, in a copy of the sources that is thrown
 * away, and runs the unit tests that it names. With words, those whose name or file contains one of them. Exits with 1
 * where a mutation survives, or cannot be made any more.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { repositoryRoot } from "../support/hosts.ts";
import { type Mutation, misfits, mutations, testFilesOf } from "./mutations.ts";
import { type orderSchema, verdictSchema } from "./tester.ts";

/** Of the tests of one mutation: it may have made a loop that does not end. */
const LONGEST_RUN_MS = 60_000;

/** Of all tests together, without any. */
const LONGEST_BEGINNING_MS = 15 * 60_000;

/** What unit tests read. */
const COPIED = ["src", "test", "scripts", "docs", "bin", "index.ts", "package.json", "tsconfig.json"];

type Order = z.output<typeof orderSchema>;
type Verdict = z.output<typeof verdictSchema> | { readonly kind: "endless" };

async function startTester(copy: string): Promise<ChildProcess> {
	const tester = fork(new URL("tester.ts", import.meta.url), [copy], {
		cwd: copy,
		execArgv: ["--import", "jiti/register"],
		stdio: ["ignore", "ignore", "inherit", "ipc"],
		// With a group of its own, the workers of vitest end with it.
		detached: true,
	});
	await once(tester, "message");
	return tester;
}

function end({ pid }: ChildProcess): void {
	if (pid !== undefined) process.kill(-pid, "SIGKILL");
}

function answerOf(tester: ChildProcess, order: Order, patienceMs = LONGEST_RUN_MS): Promise<Verdict> {
	return new Promise((resolve, reject) => {
		const settle = (act: () => void) => {
			clearTimeout(timer);
			tester.off("message", onMessage).off("exit", onExit);
			act();
		};
		const onMessage = (message: unknown) => settle(() => resolve(verdictSchema.parse(message)));
		const onExit = () => settle(() => reject(new Error("the process that runs the tests has ended")));
		const timer = setTimeout(() => settle(() => resolve({ kind: "endless" })), patienceMs);
		tester.on("message", onMessage).on("exit", onExit);
		tester.send(order);
	});
}

function wordsOf(verdict: Verdict): string {
	switch (verdict.kind) {
		case "passed":
			return "ALIVE";
		case "failed":
			return `dead, by "${verdict.test}"${verdict.isLate ? ", which timed out" : ""}`;
		case "endless":
			return "dead, as its tests did not end";
		case "unrunnable":
			return `NO TEST RAN: ${verdict.why}`;
	}
}

/** Makes each mutation, and resolves to how many did not die. */
async function tryAll(wanted: readonly Mutation[], copy: string): Promise<number> {
	let tester = await startTester(copy);
	try {
		const all = [...new Set(wanted.flatMap(testFilesOf))];
		const begin = () => answerOf(tester, { files: all, changed: [] }, LONGEST_BEGINNING_MS);
		const first = await begin();
		// On a busy machine a test that waits for a clock may be late.
		const before = first.kind === "failed" ? await begin() : first;
		if (before.kind !== "passed") {
			process.stdout.write(`The tests do not pass without any mutation: ${wordsOf(before)}\n`);
			return wanted.length;
		}
		let alive = 0;
		let former: readonly string[] = [];
		for (const [index, mutation] of wanted.entries()) {
			const { file, from, to, name } = mutation;
			const source = await readFile(join(copy, file), "utf8");
			await writeFile(
				join(copy, file),
				source.replace(from, () => to),
			);
			const verdict = await answerOf(tester, { files: testFilesOf(mutation), changed: [file, ...former] });
			await writeFile(join(copy, file), source);
			former = [file];
			if (verdict.kind === "passed" || verdict.kind === "unrunnable") alive += 1;
			process.stdout.write(`${index + 1}. ${file}: ${name}: ${wordsOf(verdict)}\n`);
			if (verdict.kind !== "endless") continue;
			end(tester);
			tester = await startTester(copy);
		}
		return alive;
	} finally {
		end(tester);
	}
}

const words = process.argv.slice(2);
const isWanted = ({ name, file }: Mutation) => words.some((word) => name.includes(word) || file.includes(word));
const wanted = words.length === 0 ? mutations : mutations.filter(isWanted);
const unfit = misfits(wanted);
for (const line of unfit) process.stdout.write(`${line}\n`);
if (unfit.length > 0 || wanted.length === 0) {
	process.stdout.write(wanted.length === 0 ? "No mutation has such a name.\n" : "See test/mutations/mutations.json.\n");
	process.exit(1);
}

const copy = await realpath(await mkdtemp(join(tmpdir(), "pi-multicodex-mutations-")));
try {
	for (const name of COPIED) await cp(join(repositoryRoot, name), join(copy, name), { recursive: true });
	await symlink(join(repositoryRoot, "node_modules"), join(copy, "node_modules"), "junction");
	const alive = await tryAll(wanted, copy);
	process.stdout.write(`${wanted.length} mutations, ${wanted.length - alive} dead.\n`);
	process.exitCode = alive > 0 ? 1 : 0;
} finally {
	await rm(copy, { recursive: true, force: true });
}
