import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { answers } from "../support/fake-codex/index.ts";
import { aToken, DAY_MS, HOUR_MS } from "../support/fakes.ts";
import { wide } from "../support/tiers.ts";
import { filesNamed, loginOfPi, signPiInAs, storedAccounts } from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";

const SEAT = "user-a__acct-a";
const idOf = (user: string) => createHash("sha256").update(`${user}\nacct-a`).digest("hex").slice(0, 12);
/** Ids that one account got from two tokens, each of which told another part of it. */
const BY_SEAT = idOf(SEAT);
const BY_USER = idOf("user-a");

const stateSchema = z.looseObject({
	pin: z.string().nullable(),
	accounts: z.record(
		z.string(),
		z.looseObject({ cooldowns: z.array(z.looseObject({ until: z.number() })).default([]) }),
	),
});

/**
 * `b`, and after it in the list `a` as an older version kept it: twice. Both tokens of `a` have run out; the next one
 * tells everything.
 */
async function benchWithDouble(fields: Readonly<Record<string, unknown>> = {}): Promise<Bench> {
	const bench = await createBench({ usage: answers.serverError(503), accounts: ["b"], strangers: ["a"] });
	const rowOf = (id: string, label: string, tells: { sub?: string; auth?: object }, over: object) => {
		const { claims: _, ...row } = bench.row("a", {
			id,
			label,
			userId: tells.sub ?? null,
			credential: {
				...bench.codex.grant("a"),
				access: aToken({
					...(tells.sub ? { sub: tells.sub } : {}),
					issuedAt: Date.now() - DAY_MS,
					expiresAt: Date.now() - HOUR_MS,
					auth: { chatgpt_account_id: "acct-a", ...tells.auth },
				}),
				expires: Date.now() - HOUR_MS,
			},
			...over,
		});
		return row;
	};
	const older = rowOf(BY_SEAT, "mine", { auth: { chatgpt_account_user_id: SEAT } }, { addedAt: 1, ...fields });
	const newer = rowOf(BY_USER, "again", { sub: "user-a" }, { addedAt: 2 });
	bench.dir.write("codex-accounts.json", { version: 2, accounts: [bench.stored("b"), older, newer] });
	return bench;
}

/** Lets every session of the bench say that `account` has served it. */
function rewriteSessions({ dir }: Bench, served: string, account: string): void {
	const folder = dir.path("sessions");
	const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".jsonl"));
	for (const path of names.map((name) => join(folder, name))) {
		const text = readFileSync(path, "utf8");
		expect(text).toContain(served);
		writeFileSync(path, text.replaceAll(served, account));
	}
}

describe("an account that is here twice", () => {
	it("two rows of one account become one after a renewal that proves it", async () => {
		const bench = await benchWithDouble();
		const cooldown = {
			scope: "account",
			reason: "usage_limit",
			until: Date.now() + HOUR_MS,
			setAt: Date.now(),
			models: [],
		};
		bench.dir.write("codex-state.json", {
			version: 1,
			pin: BY_USER,
			accounts: { [BY_USER]: { cooldowns: [cooldown] } },
		});
		const spare = storedAccounts(bench).find(({ id }) => id === BY_USER)?.credential.refresh ?? "";

		await bench.print("/multicodex refresh mine");
		const [, one, ...others] = storedAccounts(bench);
		expect(others).toEqual([]);
		expect(one).toMatchObject({ id: BY_SEAT, label: "mine", formerIds: [BY_USER], needsLogin: null });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		const state = stateSchema.parse(bench.dir.readJson("codex-state.json"));
		expect(state.pin).toBe(BY_SEAT);
		expect(state.accounts[BY_SEAT]?.cooldowns).toMatchObject([{ until: cooldown.until }]);
		expect(state.accounts).not.toHaveProperty(BY_USER);
		const copies = [...filesNamed(bench, "codex-accounts.json.bak-merged-").values()];
		expect(copies).toHaveLength(1);
		expect(copies[0]).toContain(spare);
		expect(bench.codex.refreshState(spare)).toBe("valid");
		expect((await bench.print("/multicodex log")).stdout).toMatch(
			new RegExp(`mine: merged with its duplicate ${BY_USER} \\(\\d+ \\w{3}\\)`),
		);

		expect((await bench.print("/multicodex reset quota")).code).toBe(0);
		expect((await bench.print("pinned")).stdout).toBe("OK from a #1\n");
		expect((await bench.print("/multicodex use auto")).code).toBe(0);
		expect((await bench.print("anew")).stdout).toBe("OK from b #1\n");
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	it("a merged account keeps the sessions that know its former id", async () => {
		const bench = await benchWithDouble();
		expect((await bench.print("first")).stdout).toBe("OK from b #1\n");
		rewriteSessions(bench, bench.id("b"), BY_USER);
		expect((await bench.print("second", ["--continue"])).stdout).toBe("OK from a #1\n");
		expect(storedAccounts(bench).map(({ id }) => id)).toEqual([bench.id("b"), BY_SEAT]);
		expect((await bench.print("third", ["--continue"])).stdout).toBe("OK from a #2\n");
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	wide("a merged account is pi's own once pi signs in as it, under its former id", async () => {
		const bench = await benchWithDouble({ needsLogin: { reason: "revoked", at: 1 } });
		const login = signPiInAs(bench, "a");
		expect((await bench.print("/multicodex use mine")).code).toBe(0);
		expect((await bench.print("say hi")).stdout).toBe("OK from a #1\n");
		const [, one, ...others] = storedAccounts(bench);
		expect(others).toEqual([]);
		expect(one).toMatchObject({ id: BY_SEAT, label: "mine", needsLogin: null });
		expect(loginOfPi(bench)).toMatchObject({ refresh: login.refresh });
		const spentTwice = bench.codex.tokenRequests().map(({ body }) => body?.refresh_token);
		expect(new Set(spentTwice).size).toBe(spentTwice.length);
	});
});
