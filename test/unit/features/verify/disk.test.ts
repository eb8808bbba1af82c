import { spawnSync } from "node:child_process";
import {
	chmodSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	symlinkSync,
	utimesSync,
} from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HealthCheck } from "../../../../src/features/verify/disk.ts";
import { openHealth } from "../../../../src/features/verify/disk.ts";
import { aTokenOf, closeFolder, DAY_MS, idFor } from "../../../support/fakes.ts";
import { onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { runs } from "../../../support/tiers.ts";

const now = () => Date.now();
/** A process that is no more. */
const gone = spawnSync(process.execPath, ["-e", ""]).pid;
const id = idFor("user-a__acct-a", "acct-a");
const credential = (refresh = "r") => ({ access: aTokenOf("a"), refresh, expires: now() + DAY_MS });
const accounts = { version: 2, accounts: [{ id, accountId: "acct-a", label: "a", credential: credential() }] };
const state = { version: 1, pin: null, accounts: {} };
const auth = { "openai-codex": { type: "oauth", ...credential("other") } };
const v1 = { accounts: [{ accessToken: aTokenOf("a"), refreshToken: "r", expiresAt: 1 }] };

const scratch = scratchForEach();
let health: HealthCheck;
beforeEach(() => {
	chmodSync(scratch.dir, 0o700);
	health = openHealth(scratch.dir, "http://127.0.0.1:1", now);
});

/** Everything in the directory: what it is, who may read it, when it was touched, what is in it. */
function listing(): Record<string, string> {
	const names = [".", ...readdirSync(scratch.dir)].sort();
	return Object.fromEntries(
		names.map((name) => {
			const { mode, mtimeMs, ino } = lstatSync(scratch.path(name));
			const kind = mode & 0o170000;
			let content = "";
			if (kind === 0o100000) content = readFileSync(scratch.path(name), "hex");
			if (kind === 0o120000) content = readlinkSync(scratch.path(name));
			return [name, `${mode.toString(8)} ${mtimeMs} ${ino} ${content}`];
		}),
	);
}
function lock(name: string, ageMs: number): void {
	mkdirSync(scratch.path(name));
	const at = (now() - ageMs) / 1000;
	utimesSync(scratch.path(name), at, at);
}
function leave(name: string, ageMs = DAY_MS): void {
	const at = (now() - ageMs) / 1000;
	utimesSync(scratch.write(name, "half"), at, at);
}
const contentOf = async (name: string) => (await health.look()).files.find((file) => file.name === name)?.content;

describe("a look at the agent directory", () => {
	onPosix("leaves every byte, mode and time of it as it was, healthy or not", async () => {
		const broken = fc.constantFrom(
			"",
			"{",
			"[]",
			"null",
			'{"version":99}',
			"\u0000\u0001",
			'{"version":2,"accounts":[{"id":5}]}',
		);
		const whole = fc.constantFrom(accounts, state, auth, v1).map((content) => JSON.stringify(content));
		const content = fc.option(fc.oneof(broken, whole));
		const mode = fc.constantFrom(0o600, 0o644, 0o666, 0o400);
		const file = fc.record({ content, mode });
		const litter = fc.subarray([
			"codex-accounts.json.lock",
			"auth.json.lock",
			`codex-refresh-${id}.lock`,
			`codex-accounts.json.${gone}-0011aabb.tmp`,
			"codex-state.json.corrupt-1790000000000",
			`codex-accounts.json.bak-1-${id}`,
		]);
		const names = ["codex-accounts.json", "codex-state.json", "auth.json", "settings.json"];
		await fc.assert(
			fc.asyncProperty(
				fc.array(file, { minLength: 4, maxLength: 4 }),
				litter,
				fc.boolean(),
				async (files, left, isLinked) => {
					scratch.remove();
					mkdirSync(scratch.dir, { mode: 0o700 });
					for (const [at, { content, mode }] of files.entries()) {
						if (content !== null) chmodSync(scratch.write(names[at] ?? "", content), mode);
					}
					for (const name of left) {
						if (name.endsWith(".lock")) lock(name, DAY_MS);
						else leave(name);
					}
					if (isLinked) symlinkSync("nowhere", scratch.path("codex-events.jsonl"));
					const before = listing();
					const facts = await health.look();
					expect(listing()).toEqual(before);
					expect(facts.files.map(({ name }) => name)).toEqual(names);
				},
			),
			runs(5, 120),
		);
	});

	it("reports what each of our files and of pi's is", async () => {
		expect((await health.look()).files.map(({ content }) => content)).toEqual(Array(4).fill("missing"));
		for (const [name, content, expected] of [
			["codex-accounts.json", accounts, "good"],
			["codex-accounts.json", v1, "older"],
			["codex-accounts.json", { version: 3 }, "newer"],
			["codex-accounts.json", "{", "broken"],
			["codex-state.json", state, "good"],
			["codex-state.json", { version: 2 }, "newer"],
			["codex-state.json", "", "broken"],
			["codex-pool.json", { version: 1, join: "pi-pool-keeper-x", rows: [] }, "good"],
			["codex-pool.json", { version: 2 }, "newer"],
			["codex-pool.json", "{", "broken"],
			["auth.json", auth, "good"],
			["auth.json", '{"openai-codex":{"type":"oauth","access":"x"}}', "broken"],
			["settings.json", {}, "good"],
			["settings.json", "{", "broken"],
		] as const) {
			scratch.write(name, content);
			expect([name, await contentOf(name)]).toEqual([name, expected]);
		}
		mkdirSync(scratch.path("codex-events.jsonl"));
		scratch.write("codex-accounts.json", { ...accounts, accounts: [...accounts.accounts, { id: 5 }] });
		const { files, accounts: rows } = await health.look();
		expect([files[0]?.unreadableRows, rows.map(({ label }) => label)]).toEqual([1, ["a"]]);
	});

	onPosix("knows the files of a shared pool: they hold secrets, and one that is damaged is set aside", async () => {
		scratch.write("codex-pool.json", "{");
		scratch.write("codex-pool-a-0011.journal", { version: 1 });
		for (const name of ["codex-pool.json", "codex-pool-a-0011.journal"]) chmodSync(scratch.path(name), 0o644);
		const wide = (await health.look()).entries.filter(({ mode = 0 }) => (mode & 0o077) !== 0);
		expect(wide.map(({ name }) => name)).toEqual(["codex-pool-a-0011.journal", "codex-pool.json"]);
		lock("codex-pool.json.lock", DAY_MS);
		lock("codex-pool-watch.lock", DAY_MS);
		expect((await health.look()).locks.map(({ name }) => name)).toEqual([
			"codex-pool-watch.lock",
			"codex-pool.json.lock",
		]);
		const repairs = await health.repair();
		expect(repairs.map(({ kind }) => kind)).toEqual(["permissions", "permissions", "lock", "lock", "set-aside"]);
		expect(repairs.at(-1)?.subject).toMatch(/^codex-pool\.json\.corrupt-\d+$/);
		expect(await contentOf("codex-pool.json")).toBeUndefined();
	});

	onPosix("tells of a file that leads into a folder that is not there", async () => {
		symlinkSync(scratch.path("away/codex-accounts.json"), scratch.path("codex-accounts.json"));
		symlinkSync(scratch.path("other.json"), scratch.path("settings.json"));
		const { readOnly } = await health.look();
		expect(readOnly).toEqual([{ name: "codex-accounts.json", target: scratch.path("away/codex-accounts.json") }]);
	});

	onPosix("tells of each file that leads to where nothing can be written", async () => {
		mkdirSync(scratch.path("store"));
		for (const name of ["settings.json", "auth.json"]) {
			scratch.write(`store/${name}`, {});
			symlinkSync(scratch.path(`store/${name}`), scratch.path(name));
		}
		expect((await health.look()).readOnly).toEqual([]);
		const reopen = closeFolder(scratch.path("store"));
		try {
			const { readOnly, isWritable } = await health.look();
			expect([isWritable, readOnly?.map(({ name }) => name)]).toEqual([true, ["auth.json", "settings.json"]]);
			expect(readOnly?.[1]?.target).toBe(scratch.path("store/settings.json"));
		} finally {
			reopen();
		}
	});

	it("a look at the agent directory is not led astray by a write of pi's that is half done", async () => {
		scratch.write("auth.json", "{");
		const looking = health.look();
		setTimeout(() => scratch.write("auth.json", auth), 20);
		expect((await looking).files.find(({ name }) => name === "auth.json")?.content).toBe("good");
	});

	it("tells whose login pi has, and what is wrong with our preferences", async () => {
		scratch.write("auth.json", auth);
		scratch.write("settings.json", { "pi-multicodex": { maskEmails: 5 } });
		const { piLogin, settings } = await health.look();
		expect(piLogin).toEqual({ kind: "oauth", owner: id, refresh: "other" });
		expect(settings).toEqual([expect.stringContaining("maskEmails must be")]);
		scratch.write("auth.json", { "openai-codex": { type: "api_key", key: "k" } });
		expect((await health.look()).piLogin.kind).toBe("foreign");
	});

	onPosix("finds what lies around, and takes nothing of a live writer for left behind", async () => {
		scratch.write("codex-accounts.json", accounts);
		chmodSync(scratch.path("codex-accounts.json"), 0o644);
		leave(`codex-accounts.json.${gone}-0011aabb.tmp`);
		leave(`codex-accounts.json.${gone}-0011aabc.tmp`, 0);
		leave(`codex-accounts.json.${process.pid}-0011aabd.tmp`);
		leave(`sessions.json.${gone}-0011aabe.tmp`);
		leave("codex-state.json.corrupt-17");
		lock("auth.json.lock", 20_000);
		lock("codex-accounts.json.lock", 20_000);
		lock("a-strangers.lock", DAY_MS);
		const { entries, locks } = await health.look();
		const of = (kind: string) => entries.filter((entry) => entry.kind === kind).map(({ name }) => name);
		expect(of("leftover")).toEqual([`codex-accounts.json.${gone}-0011aabb.tmp`]);
		expect(of("quarantined")).toEqual(["codex-state.json.corrupt-17"]);
		expect(entries.find(({ name }) => name === "codex-accounts.json")?.mode).toBe(0o644);
		expect(locks.map(({ name, ageMs, staleMs }) => [name, ageMs > staleMs])).toEqual([
			["auth.json.lock", false],
			["codex-accounts.json.lock", true],
		]);
	});
});

describe("a repair", () => {
	onPosix("narrows permissions, removes what was left behind, sets aside what is damaged, and tells each", async () => {
		chmodSync(scratch.dir, 0o755);
		chmodSync(scratch.write("auth.json", auth), 0o644);
		scratch.write("codex-accounts.json", "{");
		scratch.write("codex-state.json", state);
		leave(`auth.json.${gone}-0011aabb.tmp`);
		lock("codex-state.json.lock", DAY_MS);
		lock("settings.json.lock", 0);
		const repairs = await health.repair();
		const [aside] = scratch.names("codex-accounts.json.corrupt-");
		expect(repairs).toEqual([
			{ kind: "permissions", subject: "." },
			{ kind: "permissions", subject: "auth.json" },
			{ kind: "lock", subject: "codex-state.json.lock" },
			{ kind: "leftover", subject: `auth.json.${gone}-0011aabb.tmp` },
			{ kind: "set-aside", subject: aside },
		]);
		expect(scratch.text(aside ?? "")).toBe("{");
		expect(scratch.names()).toEqual(["auth.json", aside, "codex-state.json", "settings.json.lock"]);
		expect([".", "auth.json"].map((name) => lstatSync(scratch.path(name)).mode & 0o777)).toEqual([0o700, 0o600]);
		expect(await health.repair()).toEqual([]);
	});

	onPosix("touches no file of other programs, whatever its name, and adds no permission that was lacking", async () => {
		chmodSync(scratch.write("codex-notes.md", "theirs"), 0o644);
		lock("codex-build.lock", DAY_MS);
		chmodSync(scratch.dir, 0o1777);
		leave(`codex-notes.md.${gone}-0011aabb.tmp`);
		const before = listing();
		expect(await health.repair()).toEqual([]);
		expect(listing()).toEqual(before);
		expect((await health.look()).entries.map(({ name }) => name)).toEqual(["."]);
		chmodSync(scratch.write("auth.json", auth), 0o444);
		await health.repair();
		expect(lstatSync(scratch.path("auth.json")).mode & 0o777).toBe(0o400);
	});

	onPosix("continues if one thing cannot be mended, and tells only what was", async () => {
		chmodSync(scratch.write("auth.json", auth), 0o644);
		lock("codex-state.json.lock", DAY_MS);
		mkdirSync(scratch.path(`auth.json.${gone}-0011aabb.tmp`));
		utimesSync(scratch.path(`auth.json.${gone}-0011aabb.tmp`), 0, 0);
		expect(await health.repair()).toEqual([
			{ kind: "permissions", subject: "auth.json" },
			{ kind: "lock", subject: "codex-state.json.lock" },
		]);
	});

	onPosix("takes away whatever lies where a lock belongs, and leaves a live one", async () => {
		lock("codex-accounts.json.lock", -DAY_MS);
		scratch.write("codex-state.json.lock", "x");
		symlinkSync("nowhere", scratch.path("auth.json.lock"));
		mkdirSync(scratch.path("codex-refresh-a.lock"));
		scratch.write("codex-refresh-a.lock/note", "x");
		lock("settings.json.lock", -5000);
		const { locks } = await health.look();
		expect(locks.map(({ name, isStrange }) => [name, isStrange])).toEqual([
			["auth.json.lock", true],
			["codex-accounts.json.lock", false],
			["codex-refresh-a.lock", true],
			["codex-state.json.lock", true],
			["settings.json.lock", false],
		]);
		expect((await health.repair()).filter(({ kind }) => kind === "lock").map(({ subject }) => subject)).toEqual(
			locks.map(({ name }) => name).filter((name) => name !== "settings.json.lock"),
		);
		const [aside = ""] = scratch.names("codex-refresh-a.lock.corrupt-");
		expect(scratch.names()).toEqual([aside, "settings.json.lock"]);
		expect((await health.look()).entries.map(({ name, kind }) => [name, kind])).toEqual([
			[".", "directory"],
			[aside, "quarantined"],
		]);
	});

	onPosix("looks after what belongs to an accounts file that is a link, where that is", async () => {
		mkdirSync(scratch.path("store"), { mode: 0o700 });
		scratch.write("store/codex-accounts.json", accounts);
		symlinkSync(scratch.path("store/codex-accounts.json"), scratch.path("codex-accounts.json"));
		scratch.write("store/codex-state.json", "{");
		chmodSync(scratch.write("store/notes.json", "theirs"), 0o644);
		for (const name of ["codex-state.json.lock", "codex-refresh-a.lock", "notes.json.lock"]) {
			lock(`store/${name}`, DAY_MS);
		}
		leave(`store/codex-accounts.json.${gone}-0011aabb.tmp`);
		const { files, locks } = await health.look();
		expect(files.map(({ content }) => content)).toEqual(["good", "broken", "missing", "missing"]);
		const inStore = (name: string) => scratch.path(`store/${name}`);
		expect(locks.map(({ name }) => name)).toEqual(["codex-refresh-a.lock", "codex-state.json.lock"].map(inStore));
		const repairs = await health.repair();
		expect(repairs).toEqual([
			{ kind: "lock", subject: inStore("codex-refresh-a.lock") },
			{ kind: "lock", subject: inStore("codex-state.json.lock") },
			{ kind: "leftover", subject: inStore(`codex-accounts.json.${gone}-0011aabb.tmp`) },
			{ kind: "set-aside", subject: expect.stringMatching(/^codex-state\.json\.corrupt-\d+$/) },
		]);
		expect((await health.look()).entries.filter(({ kind }) => kind === "quarantined")).toHaveLength(1);
		expect(lstatSync(inStore("notes.json")).mode & 0o777).toBe(0o644);
		expect(await health.repair()).toEqual([]);
	});

	onPosix("reads nothing that is no regular file, and says so", async () => {
		for (const name of ["codex-accounts.json", "codex-state.json", "auth.json", "settings.json"]) {
			spawnSync("mkfifo", [scratch.path(name)]);
		}
		expect((await health.look()).files.map(({ content }) => content)).toEqual(Array(4).fill("unreadable"));
		expect((await health.repair()).filter(({ kind }) => kind === "set-aside")).toEqual([]);
	});

	onPosix("leaves pi's damaged files, files of a newer version, and links as they are", async () => {
		scratch.write("auth.json", "{");
		scratch.write("settings.json", "{");
		scratch.write("codex-state.json", { version: 99 });
		scratch.write("elsewhere.json", accounts);
		symlinkSync("elsewhere.json", scratch.path("codex-accounts.json"));
		const before = listing();
		expect(await health.repair()).toEqual([]);
		expect(listing()).toEqual(before);
	});
});

describe("reaching the endpoints", () => {
	let server: Server;
	let base: string;
	let seen: { url: string | undefined; authorization: string | undefined }[];
	let answer: RequestListener;
	beforeEach(async () => {
		seen = [];
		answer = (_request, response) => response.writeHead(401).end("{}");
		server = createServer((request, response) => {
			seen.push({ url: request.url, authorization: request.headers.authorization });
			answer(request, response);
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const address = server.address();
		base = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
	});
	afterEach(() => {
		server.closeAllConnections();
		server.close();
	});
	const reach = (issuer = base) => openHealth(scratch.dir, issuer, now).reach(`${base}/backend-api`);

	it("takes any answer, and sends no token for it", async () => {
		expect(await reach()).toMatchObject([
			{ name: "backend", status: 401, refusal: undefined, isChallenge: false },
			{ name: "issuer", status: 401, refusal: undefined },
		]);
		expect(seen.map(({ url }) => url).sort()).toEqual(["/", "/backend-api/wham/usage"]);
		expect(seen.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
		expect(await health.reach(undefined)).toMatchObject([{ name: "issuer", status: undefined }]);
	});

	it("reads the clock of the answer, a second either way being none", async () => {
		for (const [shiftMs, least, most] of [
			[0, -1, 1],
			[600_000, 590_000, 601_000],
			[-600_000, -601_000, -590_000],
		] as const) {
			answer = (_request, response) => {
				response.writeHead(200, { date: new Date(Date.now() + shiftMs).toUTCString() }).end();
			};
			const [backend] = await reach();
			expect(backend?.skewMs).toBeGreaterThanOrEqual(least);
			expect(backend?.skewMs).toBeLessThanOrEqual(most);
		}
	});

	it("takes the clock of an answer from a cache as it is by now", async () => {
		answer = (_request, response) => {
			const date = new Date(Date.now() - 600_000).toUTCString();
			response.writeHead(200, { date, age: "600" }).end();
		};
		expect(Math.abs((await reach())[0]?.skewMs ?? Number.NaN)).toBeLessThanOrEqual(1000);
	});

	it.each(["1e308", "-1e308", "-600", "Infinity", "NaN", "99999999999"])(
		"knows nothing of the clock if an answer says it is %s seconds old",
		async (age) => {
			answer = (_request, response) => response.writeHead(200, { date: new Date().toUTCString(), age }).end();
			expect((await reach())[0]).toMatchObject({ status: 200, skewMs: undefined });
		},
	);

	it("reports a challenge at the backend, follows no redirect, and asks nothing over plain http", async () => {
		answer = (_request, response) =>
			response.writeHead(302, { location: "/elsewhere", "cf-mitigated": "challenge" }).end();
		expect(await reach()).toMatchObject([{ status: 302, isChallenge: true }, { isChallenge: false }]);
		expect(seen).toHaveLength(2);
		expect((await reach("http://issuer.example"))[1]).toMatchObject({
			status: undefined,
			refusal: expect.stringContaining("PI_MULTICODEX_AUTH_URL must use https"),
		});
	});
});
