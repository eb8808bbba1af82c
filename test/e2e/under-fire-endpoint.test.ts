import { createServer, type ServerResponse } from "node:http";
import lockfile from "proper-lockfile";
import { describe, it, type TestContext, vi } from "vitest";
import { answers, tokenAnswers } from "../support/fake-codex/index.ts";
import { coreOf, isWide, wide } from "../support/tiers.ts";
import {
	benchWithExpiredLogin,
	type Keeper,
	keepers,
	keptCredential,
	lockedPath,
	NEARLY_EXPIRED_MS,
} from "./credentials-support.ts";
import type { Bench } from "./support.ts";
import {
	ageExchangeNotes,
	exchangeOf,
	leaveOnlyA,
	NO_SESSION,
	quickExchangeTimeout,
	sendingAs,
	storeLogin,
	timesSent,
} from "./under-fire-support.ts";

// In a wide run most of the time they only wait.
vi.setConfig({ maxConcurrency: isWide ? 8 : 4, testTimeout: 240_000 });

/** A token endpoint that keeps no rules. It never looks at the token, so it is not spent. */
async function strangeIssuer(
	answer: (response: ServerResponse) => void,
	whenFinished: TestContext["onTestFinished"],
): Promise<{ url: string; asked: string[] }> {
	const asked: string[] = [];
	const server = createServer((request, response) => {
		asked.push(request.url ?? "");
		request.resume();
		answer(response);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	whenFinished(() => {
		server.closeAllConnections();
		server.close();
	});
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("no port");
	return { url: `http://127.0.0.1:${address.port}`, asked };
}

/** Answers of the fake issuer after which the token is as good as it was. */
const refusals = [
	{ keeper: "us", how: "answers 500", answer: answers.serverError(500) },
	{ keeper: "pi", how: "answers 503 with a page", answer: answers.refuse(503, "<html>maintenance</html>") },
	{ keeper: "us", how: "answers 429", answer: answers.bare429() },
	{ keeper: "us", how: "answers with a challenge page", answer: answers.cloudflare() },
	{ keeper: "pi", how: "answers 400 without a reason", answer: answers.refuse(400, "bad request") },
] as const;

/** Answers that leave open what became of the token. */
const silences = [
	{ keepers: ["pi", "us"], how: "never answers", answer: () => undefined },
	{
		keepers: ["pi", "us"],
		how: "begins an answer that never ends",
		answer: (response: ServerResponse) => {
			response.writeHead(200, { "content-type": "application/json" });
			const timer = setInterval(() => response.write(" "), 500);
			response.on("close", () => clearInterval(timer));
		},
	},
	{
		keepers: ["us"],
		how: "answers 200 with a page",
		answer: (response: ServerResponse) => {
			response.writeHead(200, { "content-type": "text/html" });
			response.end("<html>Welcome to this network. Please sign in.</html>");
		},
	},
	{
		keepers: ["pi"],
		how: "sends it elsewhere",
		answer: (response: ServerResponse) => {
			response.writeHead(307, { location: "/oauth/token/elsewhere" });
			response.end();
		},
	},
	{ keepers: ["us"], how: "breaks off", answer: (response: ServerResponse) => response.socket?.destroy() },
] as const;

// Most of these wait for a bound of ours, so they wait together.
describe.concurrent("an expired token while the token endpoint is not well", () => {
	it.for(coreOf(refusals, ({ how }) => how === "answers 429"))(
		"makes way for another account, unflagged and unspent, while it $how (kept by $keeper)",
		async ({ keeper, answer }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"], {}, onTestFinished);
			bench.codex.token(answer);

			expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			expect(bench.stored("a")).toMatchObject({ needsLogin: null, enabled: true, credential: bench.spent });

			bench.codex.token(undefined);
			leaveOnlyA(bench);
			expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		},
	);

	it.for(
		coreOf(
			silences.flatMap((silence) => silence.keepers.map((keeper) => ({ keeper, ...silence }))),
			({ keeper, how }) => (how === "never answers" && keeper === "pi") || how === "answers 200 with a page",
		),
	)(
		"makes way for another account, unflagged, when it $how (kept by $keeper)",
		async ({ keeper, answer }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"], {}, onTestFinished);
			const issuer = await strangeIssuer(answer, onTestFinished);
			const env = { PI_MULTICODEX_AUTH_URL: issuer.url, ...quickExchangeTimeout() };

			// It ends by itself: the exchange that pi waits for at its end has a bound.
			const result = await bench.print("say hi", NO_SESSION, { env, timeoutMs: 120_000 });
			expect(result).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
			expect(issuer.asked).toEqual(["/oauth/token"]);
			expect(bench.stored("a")).toMatchObject({ needsLogin: null, enabled: true, credential: bench.spent });

			ageExchangeNotes(bench, 60_000);
			leaveOnlyA(bench);
			expect(await bench.print("say hi", NO_SESSION)).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		},
	);

	it.for(coreOf(keepers, ({ keeper }) => keeper === "us"))(
		"ends the turn with a sentence if there is no other account, kept by $keeper",
		async ({ keeper }, { expect, onTestFinished }) => {
			const settings = { "pi-multicodex": { rotation: { maxWait: "1s" } } };
			const bench = await benchWithExpiredLogin(keeper, [], { settings }, onTestFinished);
			bench.codex.token(answers.hang());

			const result = await bench.print("say hi", NO_SESSION, { env: quickExchangeTimeout(), timeoutMs: 120_000 });

			expect(result).toMatchObject({ code: 1, stdout: "" });
			expect(result.stderr).not.toBe("");
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			expect(bench.stored("a")).toMatchObject({ needsLogin: null, enabled: true, credential: bench.spent });
		},
	);

	it.for(coreOf(keepers, ({ keeper }) => keeper === "pi"))(
		"lets another account serve while it is slow, and the new token kept by $keeper is there for the next turn",
		async ({ keeper }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"], {}, onTestFinished);
			bench.codex.account("a").token(tokenAnswers.delay(8_000, { rotate: "before" }));

			const first = await bench.print("say hi", NO_SESSION);

			expect(first).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
			expect(keptCredential(bench, keeper)?.refresh).toBe(bench.codex.tokenRequests()[0]?.issuedRefresh);
			expect(await bench.print("say hi", NO_SESSION)).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
			expect(timesSent(bench)).toEqual([1]);
		},
	);

	wide.for(keepers)(
		"serves with what is left of the old token while it never answers, kept by $keeper",
		async ({ keeper }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"], {}, onTestFinished);
			storeLogin(bench, keeper, { expiresInMs: NEARLY_EXPIRED_MS });
			bench.codex.token(answers.hang());
			const rpc = bench.rpc(NO_SESSION, { env: sendingAs(bench, "first") });

			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: "OK from a #1" });
			const exchange = await exchangeOf(bench, "first");
			expect(exchange.endedAt, "the turn did not wait for it").toBeUndefined();
			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: "OK from a #2" });
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			expect(bench.stored("a").needsLogin).toBeNull();
		},
	);
});

/**
 * A bench whose only account has a token that looks good and is not: pi itself then leaves it alone. With one that
 * looks spent pi takes its own lock before it asks us, and heeds no abort while it waits for that.
 */
async function benchWithRefusedToken(keeper: Keeper, whenFinished: TestContext["onTestFinished"]): Promise<Bench> {
	const bench = await benchWithExpiredLogin(keeper, [], {}, whenFinished);
	storeLogin(bench, keeper, { expiresInMs: 24 * 3_600_000 });
	bench.codex.account("a").expireAccessTokens();
	return bench;
}

describe.concurrent("an abort", () => {
	it.for(coreOf(keepers))(
		"ends a turn at once that waits for an exchange which hangs, kept by $keeper",
		async ({ keeper }, { expect, onTestFinished }) => {
			const bench = await benchWithRefusedToken(keeper, onTestFinished);
			bench.codex.account("a").tokenScript.next(answers.hang());
			const rpc = bench.rpc(NO_SESSION);

			await rpc.send("say hi", 90_000);
			const exchange = await bench.codex.waitFor(({ kind }) => kind === "token", 60_000);
			await rpc.abort(90_000);

			expect((await rpc.settled()).stopReason).toBe("aborted");
			expect(exchange.endedAt, "the exchange itself goes on").toBeUndefined();
			// Nor is a second turn held up by what hangs: it joins the wait, and can be ended as well.
			await rpc.send("say hi", 90_000);
			await rpc.abort(90_000);
			expect((await rpc.settled()).stopReason).toBe("aborted");
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			expect(bench.stored("a").needsLogin).toBeNull();
		},
	);

	it.for(
		coreOf(
			[
				...keepers.map(({ keeper }) => ({
					keeper,
					what: "the token",
					path: (bench: Bench) => lockedPath(bench, keeper),
				})),
				...["codex-state.json", "codex-accounts.json"].map((what) => ({
					keeper: "us" as const,
					what,
					path: (bench: Bench) => bench.dir.path(what),
				})),
			],
			({ keeper, what }) => keeper === "us" && what === "the token",
		),
	)(
		"ends a turn at once that waits for the lock of $what, kept by $keeper, and the next turn has all it needs",
		async ({ keeper, path }, { expect, onTestFinished }) => {
			const bench = await benchWithRefusedToken(keeper, onTestFinished);
			const rpc = bench.rpc(NO_SESSION);
			await rpc.command("get_state", {}, 90_000);
			const release = await lockfile.lock(path(bench), { realpath: false, stale: 30_000, update: 2_000 });
			let isHeld = true;
			const letGo = async () => {
				if (isHeld) await release();
				isHeld = false;
			};
			onTestFinished(letGo);

			await rpc.send("say hi", 90_000);
			await bench.codex.waitFor(({ kind, status }) => kind === "websocket-upgrade" || status === 401, 60_000);
			await rpc.abort(90_000);
			expect((await rpc.settled()).stopReason).toBe("aborted");
			expect(isHeld).toBe(true);
			await letGo();

			const next = await rpc.prompt("say hi", 90_000);
			expect(next).toMatchObject({ stopReason: "stop", text: expect.stringMatching(/^OK from a #\d$/) });
			expect(timesSent(bench)).toEqual([1]);
			await vi.waitFor(() => {
				expect(keptCredential(bench, keeper)?.refresh).toBe(bench.codex.tokenRequests()[0]?.issuedRefresh);
			}, 30_000);
		},
	);
});
