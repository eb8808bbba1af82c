import {
	cpSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	statSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, sep } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { bundle, PACKAGE_INDEX } from "../../scripts/bundle.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { signPiInAs } from "./credentials-support.ts";
import { createBench } from "./support.ts";

/**
 * What a start of the package reads, as counts, which no busy machine changes. Each bound is the figure of today and a
 * little more: a change that passes it moves what few people use behind an `await import()`.
 */
const MOST_MODULES = 190;
const MOST_KIB = 592;
const MOST_CALLS = 255;
const MOST_SCHEMAS = 250;

/** Only for those who have reset credits, sign in, or give a command. */
const LATE = [
	"core/reset-credits/redeemer",
	"core/reset-credits/reset-credit-list",
	"platform/backend/reset-credits-api",
	"features/index",
	"pi/command",
	"pi/completions",
	"pi/help",
];

/** What is of use to a machine that shares a pool alone: of this, a start has the switch to it. */
const POOL = /\/src\/(platform\/shared-pool|features\/share)\/(?!pool-switch\.ts$)/;

let folder: string;
let dist: string;
beforeAll(async () => {
	folder = mkdtempSync(join(realpathSync(tmpdir()), "start-"));
	dist = join(folder, "dist");
	await bundle(dist);
	cpSync(PACKAGE_INDEX, join(folder, "index.ts"));
	writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const print = async (env: Readonly<Record<string, string>> = {}) => {
	const bench = await createBench({ accounts: ["a", "b", "c"] });
	const { code, stderr } = await bench.print("hi", ["--no-tools", "--no-session"], {
		extension: join(folder, "index.ts"),
		env,
	});
	return { code, stderr };
};

/** `index.ts` of a package alone, in a folder of its own. */
const indexWith = (name: string, change: (text: string) => string) => {
	const place = join(folder, name);
	mkdirSync(place);
	writeFileSync(join(place, "package.json"), '{ "type": "module" }');
	writeFileSync(join(place, "index.ts"), change(readFileSync(PACKAGE_INDEX, "utf8")));
	return join(place, "index.ts");
};

it.each([
	["has no bundle", "no-bundle", (text: string) => text],
	[
		"cannot import pi's packages",
		"no-import",
		(text: string) => text.replace("require.import", "() => Promise.reject(new Error())"),
	],
])("is a pi without us and one line if a package %s", async (_what, name, change) => {
	const index = indexWith(name, change);
	if (name === "no-import") cpSync(dist, join(folder, name, "dist"), { recursive: true });

	const bench = await createBench({ accounts: [], strangers: ["a"] });
	signPiInAs(bench, "a");
	const { code, stderr } = await bench.print("hi", ["--no-tools", "--no-session"], { extension: index });

	expect(code).toBe(0);
	expect(stderr).toMatch(/^pi-multicodex could not start: \w*Error\. pi continues without it\.\n$/);
});

const startFile = () => readdirSync(dist).find((name) => /^start-.*\.cjs$/.test(name)) ?? "";

it("has only what a start and a request need in the file that every start reads", () => {
	const map = z.object({ sources: z.array(z.string()) });
	const { sources } = map.parse(JSON.parse(readFileSync(join(dist, `${startFile()}.map`), "utf8")));

	expect(sources.filter((path) => LATE.some((late) => path.endsWith(`src/${late}.ts`)))).toEqual([]);
	expect(sources.filter((path) => POOL.test(path))).toEqual([]);
	expect(sources.filter((path) => path.endsWith("/src/platform/shared-pool/pool-switch.ts"))).toHaveLength(1);
	expect(sources.length).toBeLessThanOrEqual(MOST_MODULES);
	expect(statSync(join(dist, startFile())).size / 1024).toBeLessThanOrEqual(MOST_KIB);
});

it("loads no other file, and calls the disk no more often than today, up to the end of a first answer", async () => {
	const report = join(folder, "report.json");
	const ended = await print({
		NODE_OPTIONS: `--import ${join(repositoryRoot, "test/support/preload/our-files.mjs")}`,
		OUR_FILES_BUNDLE: dist + sep,
		OUR_FILES_REPORT: report,
	});

	expect(ended).toEqual({ code: 0, stderr: "" });
	const shape = z.object({ loaded: z.array(z.string()), calls: z.record(z.string(), z.number()), schemas: z.int() });
	const { loaded, calls, schemas } = shape.parse(JSON.parse(readFileSync(report, "utf8")));
	const names = loaded.map((path) => basename(path).replace(/-[\w-]{8}\.cjs$/, ".cjs"));
	// And multicodex.cjs, which takes itself out of the list: the next reload is to load it anew.
	// Nor is host.cjs read: what it stands for is put in its place.
	expect(names.sort()).toEqual(["host.cjs", "start.cjs"]);
	const total = Object.values(calls).reduce((sum, each) => sum + each, 0);
	// Fewer would say that calls are no longer seen.
	expect(total).toBeGreaterThan(20);
	expect(total, JSON.stringify(calls)).toBeLessThanOrEqual(MOST_CALLS);
	expect(schemas).toBeGreaterThan(20);
	expect(schemas).toBeLessThanOrEqual(MOST_SCHEMAS);
});

it("keeps the bytecode of a first answer for the next start, and makes it anew when the file is damaged", async () => {
	const keptFile = () => readdirSync(dist).filter((name) => name.endsWith(".v8"));
	for (const name of keptFile()) rmSync(join(dist, name));

	expect(await print()).toEqual({ code: 0, stderr: "" });
	const [kept = ""] = keptFile();
	const { mtimeMs, size } = statSync(join(dist, kept));
	// Bytecode that V8 refuses would be written again.
	expect(await print()).toEqual({ code: 0, stderr: "" });
	expect(statSync(join(dist, kept)).mtimeMs).toBe(mtimeMs);

	truncateSync(join(dist, kept), size / 2);
	expect(await print()).toEqual({ code: 0, stderr: "" });
	expect(statSync(join(dist, kept)).size).toBeGreaterThan(size / 2);
	expect(keptFile()).toEqual([kept]);
});
