import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	realpathSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Credential } from "../../../../src/core/account.ts";
import { createCredentials } from "../../../../src/core/credentials/credentials.ts";
import { createMembership } from "../../../../src/core/credentials/membership.ts";
import { createPiLoginSync } from "../../../../src/core/credentials/pi-login-sync.ts";
import { createPool } from "../../../../src/core/pool/pool.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { fingerprint, identityOf, tokenTimes } from "../../../../src/platform/backend/jwt.ts";
import { defaultLabel } from "../../../../src/platform/stores/account-file.ts";
import { openAccountStore } from "../../../../src/platform/stores/account-store.ts";
import { accountsPlaceOf, adoptState } from "../../../../src/platform/stores/agent-directory.ts";
import { openPiAuth } from "../../../../src/platform/stores/pi-auth.ts";
import { openStateStore } from "../../../../src/platform/stores/state-store.ts";
import { aClock, aMachine, aTokenOf, DAY_MS, HOUR_MS, NOW, until } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { onPosix } from "../../../support/posix.ts";

const FILE = "codex-accounts.json";
const tokens = { fingerprint, identify: identityOf, issuedAt: (access: string) => tokenTimes(access).issuedAt };
const credentialOf = (name: string, issuedAt = NOW): Credential => ({
	access: aTokenOf(name, { issuedAt, expiresAt: issuedAt + 10 * DAY_MS }),
	refresh: `refresh-${name}-${(issuedAt - NOW) / HOUR_MS}`,
	expiresAt: issuedAt + 10 * DAY_MS,
});

let home: string;
let clock: ReturnType<typeof aClock>;
let machine: ReturnType<typeof aMachine>;
let spent: string[];
/** The sign-in service takes a token, and its answer is lost. */
let isSilent: boolean;
beforeEach(() => {
	machine = aMachine();
	isSilent = false;
	home = mkdtempSync(join(realpathSync(tmpdir()), "multicodex-directories-"));
	clock = aClock();
	spent = [];
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A process of pi in the agent directory `name`. */
function start(name: string) {
	const directory = join(home, name);
	mkdirSync(directory, { recursive: true });
	const path = join(directory, FILE);
	const accounts = openAccountStore(path, () => undefined, clock.now);
	const place = accountsPlaceOf(directory);
	adoptState(directory, place);
	const state = openStateStore(place.state, () => undefined, clock.now);
	const piAuth = openPiAuth(join(directory, "auth.json"));
	const pool = createPool({ accounts, state, clock, settings: () => DEFAULT_SETTINGS });
	const link = createPiLoginSync({
		accounts,
		state,
		piAuth,
		tokens,
		clock,
		labelFor: defaultLabel,
		tell: () => undefined,
	});
	const credentials = createCredentials({
		accounts,
		state,
		piAuth,
		tokens,
		clock,
		processes: machine.process(name === "a" ? 1 : 2),
		oauth: {
			refresh: async (refresh) => {
				spent.push(refresh);
				return isSilent
					? { kind: "unknown", reason: "no answer" }
					: { kind: "granted", credential: credentialOf("work", clock.at) };
			},
		},
		pause: async () => undefined,
		labelFor: defaultLabel,
	});
	const membership = createMembership({ accounts, state, piAuth, pool, tokens, clock, labelFor: defaultLabel });
	const account = (label: string) => accounts.list().find((each) => each.label === label);
	return {
		accounts,
		state,
		link,
		membership,
		account,
		token: (label: string, refused?: string) => credentials.accessToken(account(label)?.id ?? anId(""), { refused }),
		login: (who: string | undefined, credential = credentialOf(who ?? "")) => {
			const { access, refresh, expiresAt: expires } = credential;
			const entry = { type: "oauth", access, refresh, expires, accountId: `acct-${who}` };
			const entries = who === undefined ? {} : { "openai-codex": entry };
			writeFileSync(join(directory, "auth.json"), JSON.stringify(entries));
		},
		inFile: () => JSON.parse(readFileSync(join(directory, "auth.json"), "utf8"))["openai-codex"]?.refresh,
		rows: () => JSON.parse(readFileSync(path, "utf8")).accounts,
	};
}

/** Two agent directories, of which the second one has a link to the accounts file of the first. */
async function two() {
	const a = start("a");
	a.login("work");
	await a.link.sync();
	mkdirSync(join(home, "b"));
	symlinkSync(join(home, "a", FILE), join(home, "b", FILE));
	return { a, b: start("b") };
}

describe("an accounts file that two agent directories share", () => {
	onPosix.each([
		["no login", undefined],
		["an API key", "key"],
		["another login", "other"],
	])("keeps the login of the one when the pi of the other has %s", async (_what, who) => {
		const { a, b } = await two();
		if (who === "key") writeFileSync(join(home, "b", "auth.json"), '{"openai-codex":{"type":"api_key","key":"k"}}');
		else b.login(who);
		await b.link.sync();
		expect(b.account("work")).toMatchObject({ linked: false, linkedElsewhere: true, needsLogin: undefined });
		expect(a.account("work")).toMatchObject({ linked: true });
		await a.link.sync();
		expect(a.account("work")).toMatchObject({ linked: true });
	});

	onPosix("keeps it even if the row was written by a version that named no auth.json", async () => {
		const { a, b } = await two();
		const [{ linkedTo: _, ...row }] = a.rows();
		writeFileSync(join(home, "a", FILE), JSON.stringify({ version: 2, accounts: [row] }));
		await b.link.sync();
		expect(b.account("work")).toMatchObject({ linkedElsewhere: true });
		expect(a.account("work")).toMatchObject({ linked: true });
	});

	onPosix(
		"gives the token of the other pi's login as long as it is valid, and never spends what renews it",
		async () => {
			const { a, b } = await two();
			clock.at = NOW + 10 * DAY_MS - 60_000;
			expect(await b.token("work")).toEqual({ kind: "ready", access: credentialOf("work").access });
			clock.at = NOW + 10 * DAY_MS;
			expect(await b.token("work")).toMatchObject({ kind: "unavailable", lasts: true });
			expect([spent, b.account("work")?.needsLogin]).toEqual([[], undefined]);
			const renewed = credentialOf("work", clock.at);
			expect(await a.token("work")).toEqual({ kind: "ready", access: renewed.access });
			// The answer may come before what is stored: in pi's file, then in ours.
			await until("it is stored", () => a.inFile() === renewed.refresh);
			await until("its row is stored", () => JSON.stringify(a.rows()).includes(renewed.access));
			expect(spent).toEqual([credentialOf("work").refresh]);
			expect(await b.token("work")).toEqual({ kind: "ready", access: renewed.access });
		},
	);

	onPosix("takes the other pi's logout over when that pi has signed out", async () => {
		const { a, b } = await two();
		a.login(undefined);
		await b.link.sync();
		expect(b.account("work")).toBeDefined();
		await a.link.sync();
		expect([a.account("work"), b.account("work")]).toEqual([undefined, undefined]);
	});

	onPosix("leaves the other pi's sign-in where it is when both pis are signed in with one account", async () => {
		const { a, b } = await two();
		b.login("work", credentialOf("work", NOW + HOUR_MS));
		await b.link.sync();
		expect(b.account("work")).toMatchObject({ linkedElsewhere: true, credential: credentialOf("work") });
		clock.at = NOW + 10 * DAY_MS;
		await b.link.sync();
		expect(b.account("work")).toMatchObject({ linked: true, credential: credentialOf("work", NOW + HOUR_MS) });
		expect(a.account("work")).toMatchObject({ linked: false, linkedElsewhere: true });
		expect(a.inFile()).toBe(credentialOf("work").refresh);
	});

	onPosix("does not take an older sign-in of the account for one that replaces the other pi's", async () => {
		const { b } = await two();
		b.login("work", credentialOf("work", NOW - HOUR_MS));
		clock.at = NOW + 10 * DAY_MS;
		await b.link.sync();
		expect(b.account("work")).toMatchObject({ linkedElsewhere: true, credential: credentialOf("work") });
	});

	onPosix("lets a person sign in anew if the other pi's login cannot be renewed", async () => {
		const { a, b } = await two();
		const own = credentialOf("work", NOW + HOUR_MS);
		await b.membership.join(own, { source: "login" });
		for (const each of [a, b]) expect(each.account("work")).toMatchObject({ linked: false, credential: own });
		expect(b.account("work")?.linkedElsewhere).toBeUndefined();
		expect(a.inFile()).toBe(credentialOf("work").refresh);
	});

	onPosix("holds one copy of a grant, even if that is imported or its removal undone", async () => {
		const { b } = await two();
		await b.membership.join(credentialOf("work"), { source: "import:file" });
		expect(b.account("work")).toMatchObject({ linkedElsewhere: true });
		await b.membership.remove(b.account("work")?.id ?? anId(""));
		await b.membership.restore();
		expect(b.account("work")).toMatchObject({ linked: false, linkedElsewhere: true, source: "pi" });
	});
});

onPosix("an agent directory that has moved has the login of its pi as before", async () => {
	start("a").login("work");
	await start("a").link.sync();
	renameSync(join(home, "a"), join(home, "moved"));
	const moved = start("moved");
	expect(moved.account("work")).toMatchObject({ linkedElsewhere: true });
	await moved.link.sync();
	expect(moved.account("work")).toMatchObject({ linked: true });
	moved.login(undefined);
	await moved.link.sync();
	expect(moved.account("work")).toBeUndefined();
});

describe("the state of accounts that two agent directories share", () => {
	/** Two directories, with a sign-in that is ours and has expired. */
	async function twoOfOurs() {
		const a = start("a");
		await a.membership.join(credentialOf("work"), { source: "login" });
		clock.at = NOW + 10 * DAY_MS;
		mkdirSync(join(home, "b"));
		symlinkSync(join(home, "a", FILE), join(home, "b", FILE));
		return { a, b: start("b") };
	}

	onPosix("keeps the one from sending a token whose exchange has got no answer in the other", async () => {
		const { a, b } = await twoOfOurs();
		isSilent = true;
		expect(await a.token("work")).toMatchObject({ kind: "unavailable" });
		expect(await b.token("work")).toMatchObject({ kind: "unavailable" });
		expect(spent).toEqual([credentialOf("work").refresh]);
	});

	onPosix("knows in both what is spent, however an old copy of the file has come back", async () => {
		const { a, b } = await twoOfOurs();
		const former = readFileSync(join(home, "a", FILE));
		expect(await a.token("work")).toMatchObject({ kind: "ready" });
		// The answer may come before what is stored.
		await until(
			"the token is noted as spent",
			() => a.state.status(a.account("work")?.id ?? anId("")).spent !== undefined,
		);
		await Promise.all([a.accounts.flush(), a.state.flush()]);
		writeFileSync(join(home, "a", FILE), former);
		expect(await b.token("work")).toMatchObject({ kind: "signed-out", reason: "refresh_token_reused" });
		expect(spent).toEqual([credentialOf("work").refresh]);
	});

	onPosix("has a cooldown of the one in the other", async () => {
		const { a, b } = await twoOfOurs();
		const id = a.account("work")?.id ?? anId("");
		const cooldown = { scope: "account", reason: "usage_limit", until: clock.at + HOUR_MS, setAt: clock.at } as const;
		await a.state.update(id, (status) => ({ ...status, cooldowns: [{ ...cooldown, models: [] }] }));
		expect(b.state.status(id).cooldowns).toMatchObject([cooldown]);
	});
});

describe("the place of the state", () => {
	const placeOf = (name: string) => {
		const { accounts, state } = accountsPlaceOf(join(home, name));
		return [accounts, state].map((path) => path.replace(home, "~"));
	};
	const ofA = ["~/a/codex-accounts.json", "~/a/codex-state.json"];
	beforeEach(() => {
		for (const name of ["a", "b", "store"]) mkdirSync(join(home, name));
	});

	onPosix.each([
		["there is no file yet", () => undefined, ofA],
		["the file is a file", () => writeFileSync(join(home, "a", FILE), "{}"), ofA],
		[
			"the folder is a link",
			() => {
				rmSync(join(home, "a"), { recursive: true });
				symlinkSync("b", join(home, "a"));
			},
			ofA,
		],
		[
			"the file is a link",
			() => {
				writeFileSync(join(home, "store", FILE), "{}");
				symlinkSync(`../store/${FILE}`, join(home, "a", FILE));
			},
			["~/store/codex-accounts.json", "~/store/codex-state.json"],
		],
		[
			"the file is a link to where nothing is yet, over another link",
			() => {
				symlinkSync(join(home, "store", FILE), join(home, "b", FILE));
				symlinkSync(join(home, "b", FILE), join(home, "a", FILE));
			},
			["~/store/codex-accounts.json", "~/store/codex-state.json"],
		],
		[
			"the file has another name there",
			() => symlinkSync(join(home, "store/work.json"), join(home, "a", FILE)),
			["~/store/work.json", "~/store/work.state.json"],
		],
		[
			"the file has another name in the same folder",
			() => symlinkSync("work.json", join(home, "a", FILE)),
			["~/a/work.json", "~/a/work.state.json"],
		],
	])("is beside the accounts file: %s", (_what, make, expected) => {
		make();
		expect(placeOf("a")).toEqual(expected);
	});

	onPosix("is found where links go in a circle, so that pi starts", () => {
		symlinkSync(FILE, join(home, "a", FILE));
		expect(placeOf("a")[1]).toMatch(/state\.json$/);
	});

	onPosix("begins with what the directory knew so far, once", async () => {
		writeFileSync(join(home, "store", FILE), "{}");
		const state = JSON.stringify({ version: 1, pin: "3f9c0a7be21d", accounts: {} });
		writeFileSync(join(home, "a/codex-state.json"), state);
		symlinkSync(join(home, "store", FILE), join(home, "a", FILE));
		const a = start("a");
		expect(a.state.pin()).toBe("3f9c0a7be21d");
		await a.state.setPin(undefined);
		expect(start("a").state.pin()).toBeUndefined();
		expect(readFileSync(join(home, "a/codex-state.json"), "utf8")).toBe(state);
	});

	it("is made by nothing if there is none", () => {
		adoptState(join(home, "a"), accountsPlaceOf(join(home, "a")));
		expect(existsSync(join(home, "a/codex-state.json"))).toBe(false);
	});
});
