import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { answers, type FakeAccountInit, type RecordedRequest } from "../support/fake-codex/index.ts";
import { findModernNode, type HostName, NEWEST_HOST, OLDEST_HOST, prepareHost } from "../support/hosts.ts";
import { startRpc } from "../support/pi.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

const SPENT = { week: { usedPercent: 100 } };

/** A bench whose account `a` has Luna Reserve for the model that the host uses. */
async function aBench(
	host: HostName,
	account: Partial<FakeAccountInit>,
	settings: Record<string, unknown>,
): Promise<Bench> {
	const { model: normalModel } = await prepareHost(host);
	const reserve = { usedPercent: 60, normalModel, costPerRequestPercent: 10 };
	return createBench({ host, accounts: [{ name: "a", reserve, ...account }], settings });
}

const beyond = (reserve: string) => ({ "pi-multicodex": { beyond: { reserve }, rotation: { maxWait: "0s" } } });
const modelsAsked = ({ codex }: Bench) => codex.responsesRequests().map(({ body }) => body?.model);
const hasReserveHeader = ({ headers }: RecordedRequest) => headers["x-openai-codex-luna-reserve"] === "1";

const messagesSchema = z.object({ messages: z.array(z.looseObject({ role: z.string() })) });
/** The models of the answers, as pi has stored them. */
async function modelsStored(rpc: Rpc): Promise<unknown[]> {
	const { messages } = messagesSchema.parse(await rpc.command("get_messages"));
	return messages.filter(({ role }) => role === "assistant").map(({ model }) => model);
}
const noticesOf = (rpc: Rpc) => rpc.notifications.map(({ message }) => message).filter((text) => /Luna/.test(text));

/** 0.73.1 only finds a WebSocket on a newer Node. */
async function rpcOf(bench: Bench, transport: string): Promise<Rpc> {
	if (bench.host.name !== OLDEST_HOST || transport === "sse") return bench.rpc();
	const onNewNode = { ...bench.host, node: await findModernNode() };
	const rpc = startRpc(onNewNode, bench.dir, [], { env: { PI_MULTICODEX_AUTH_URL: bench.codex.issuer } });
	onTestFinished(async () => {
		await rpc.close();
	});
	return rpc;
}

const ways = [OLDEST_HOST, NEWEST_HOST].flatMap((host) => ["auto", "sse"].map((transport) => ({ host, transport })));
const coreWays = coreOf(ways, ({ host, transport }) => host === NEWEST_HOST && transport === "auto");

it.each(coreWays)(
	"a session goes on with Luna Reserve once its quota is out, and leaves it when that is back, on $host over $transport",
	async ({ host, transport }) => {
		const quota = { week: { usedPercent: 100 } };
		const bench = await aBench(host, {}, { transport, ...beyond("always") });
		const { codex } = bench;
		const { model } = bench.host;
		const rpc = await rpcOf(bench, transport);
		expect((await rpc.prompt("one")).text).toBe("OK from a #1");
		expect(codex.requestsOf("usage").some(hasReserveHeader)).toBe(false);
		// A usage call that is still under way would tell of what follows.
		await until("its usage to be stored", () => bench.status("a").usage !== undefined);

		codex.account("a").setQuota(quota);
		expect((await rpc.prompt("two")).text).toBe("OK from a #3");
		expect((await rpc.prompt("three")).text).toBe("OK from a #4");
		expect(modelsAsked(bench)).toEqual([model, model, "gpt-reserve", "gpt-reserve"]);
		expect(codex.requestsOf("usage").some(hasReserveHeader)).toBe(true);
		expect(await modelsStored(rpc)).toEqual([model, model, model]);
		expect(noticesOf(rpc)).toEqual([
			`Codex: no account has included quota left. This session continues with Luna Reserve (${model}) of a, 40% left.`,
		]);

		// The answers on it have said of the general limit what holds for the reserve.
		await until("the cooldown to be stored", () => bench.status("a").cooldowns.length > 0);
		expect(bench.status("a").cooldowns).toMatchObject([{ scope: "account", reason: "usage_limit" }]);
		codex.account("a").setQuota({ week: { usedPercent: 0 } });
		await bench.print("/multicodex reset quota");
		expect((await rpc.prompt("four")).text).toBe("OK from a #5");
		expect(modelsAsked(bench).at(-1)).toBe(model);

		// No socket, and no response that is continued, is shared by the two.
		const [one, , three, four, five] = codex.responsesRequests();
		const isContinued = (request: RecordedRequest | undefined) => request?.body?.previous_response_id !== undefined;
		expect([three, five].some(isContinued)).toBe(false);
		expect(isContinued(four)).toBe(transport === "auto");
		if (transport === "auto") expect([one, five].map((each) => each?.connectionId)).not.toContain(three?.connectionId);
	},
);

it("a refusal of Luna Reserve closes it for a day, with one notice, and the turn ends as without it", async () => {
	const bench = await aBench(NEWEST_HOST, { quota: SPENT }, { transport: "sse", ...beyond("always") });
	bench.codex
		.account("a")
		.always((request, account) =>
			account.isOnReserve(request) ? answers.modelNotFound("gpt-reserve") : answers.echoAccount(),
		);
	const rpc = bench.rpc();
	expect((await rpc.prompt("one")).errorMessage).toMatch(/^Codex quota exceeded\./);
	expect((await rpc.prompt("two")).errorMessage).toMatch(/^Codex quota exceeded\./);
	expect(modelsAsked(bench)).toEqual([bench.host.model, "gpt-reserve"]);
	expect(noticesOf(rpc)).toMatchObject([expect.stringMatching(/^Codex: a may not use Luna Reserve\./)]);
	const closed = () => bench.status("a").cooldowns.find(({ scope }) => scope === "limit:base_model_inference");
	await until("the cooldown to be stored", () => closed() !== undefined);
	expect(closed()).toMatchObject({ reason: "model_not_supported" });
	expect((closed()?.until ?? 0) - Date.now()).toBeGreaterThan(23 * 3_600_000);
});

it.each(coreOf(["never", "ask"]))("a printed turn spends nothing of Luna Reserve that is on %s", async (reserve) => {
	const bench = await aBench(NEWEST_HOST, { quota: SPENT }, { transport: "sse", ...beyond(reserve) });
	const { code, stdout, stderr } = await bench.print("say hi");
	expect([code, stdout]).toEqual([1, ""]);
	expect(stderr.includes("Luna Reserve")).toBe(reserve === "ask");
	expect(modelsAsked(bench)).toEqual([bench.host.model]);
	expect(bench.codex.requestsOf("usage").some(hasReserveHeader)).toBe(reserve === "ask");
});

wide("a yes in a dialog lets Luna Reserve serve the turn, and the next turn asks again", async () => {
	const bench = await aBench(OLDEST_HOST, { quota: SPENT }, { transport: "sse", ...beyond("ask") });
	const rpc = bench.rpc();
	const questions: (readonly string[])[] = [];
	rpc.answerDialogs(({ options }) => {
		questions.push(options);
		return options.find((option) => option.includes(questions.length === 1 ? "Luna Reserve" : "Stop"));
	});
	expect((await rpc.prompt("one")).text).toBe("OK from a #2");
	expect(questions[0]).toContain("Continue with Luna Reserve of a: about 40% left");
	expect((await rpc.prompt("two")).errorMessage).toMatch(/^Codex quota exceeded\..*Luna Reserve/);
	expect(questions).toHaveLength(2);
	expect(modelsAsked(bench)).toEqual([bench.host.model, "gpt-reserve"]);
});

wide("a session on another model goes on as the model that Luna Reserve stands for", async () => {
	const bench = await createBench({
		accounts: [{ name: "a", quota: SPENT, reserve: { normalModel: "gpt-5.4-mini" } }],
		host: OLDEST_HOST,
		settings: { transport: "sse", ...beyond("always") },
	});
	const rpc = bench.rpc();
	expect((await rpc.prompt("one")).text).toBe("OK from a #2");
	expect(await modelsStored(rpc)).toEqual(["gpt-5.4-mini"]);
	expect(noticesOf(rpc)).toMatchObject([expect.stringContaining("Luna Reserve (gpt-5.4-mini) of a")]);
});
