import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { modelName } from "../../core/beyond/chain.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, SettingsStore } from "../../core/ports.ts";
import {
	type CommandContext,
	type Failure,
	jsonChoice,
	type Outcome,
	parseOptions,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { columnsNow, modeOf } from "../../pi/output.ts";
import type { PoolModel } from "../../pi/pool-model.ts";
import { isPoolModel, isVirtual } from "../../pi/virtual-models.ts";
import { nearest } from "../../ui-kit/nearest.ts";
import { editOnScreen } from "./edit-on-screen.ts";
import { addTo, type Catalogue, type Changed, forEach, modelsLike, moveIn, removeFrom } from "./rules.ts";
import { cleared } from "./texts.ts";
import { type ChainView, chainAsJson, chainAsText } from "./view.ts";

/** What to do with the chain. */
type Act =
	| { readonly kind: "add" | "remove"; readonly names: readonly string[] }
	| { readonly kind: "move"; readonly name: string; readonly place: string }
	| { readonly kind: "clear" };

interface Args {
	/** Undefined to show it. */
	readonly act: Act | undefined;
	readonly asJson: boolean;
}

/** What the command uses. */
interface ChainPorts {
	readonly poolModel: Pick<PoolModel, "isAvailable" | "look" | "shown">;
	readonly settings: Pick<SettingsStore, "read" | "changeChain">;
	readonly pool: Pick<Pool, "emit" | "subscribe">;
	readonly clock: Clock;
}

const VERBS = ["add", "remove", "move", "clear"] as const;
const USAGE = "chain [add|remove provider/model …] [move provider/model place] [clear] [--json]";

/** `/multicodex chain`: the models that answer while no account can. A panel, or words that edit the list. */
export function createChain(ports: ChainPorts): Subcommand<Args> {
	const { settings } = ports;
	return {
		name: "chain",
		usage: USAGE,
		summary: "models that answer while no account can serve",
		isPanel: (words) => words.length === 0,
		complete: (before) => {
			const [verb] = before;
			if (verb === undefined) return [...VERBS.map((each) => ({ value: each, label: each })), ...jsonChoice(before)];
			const isOfList = verb === "remove" || (verb === "move" && before.length === 1);
			const listed = isOfList ? settings.read().beyond.chain.filter((name) => !before.includes(name)) : [];
			return listed.map((name) => ({ value: name, label: name }));
		},
		parse: (words) => {
			const given = parseOptions(words, ["--json"], USAGE);
			if ("failure" in given) return given;
			const asJson = given.options.has("--json");
			if (given.rest.length === 0) return { act: undefined, asJson };
			const act = actIn(given.rest);
			return "failure" in act ? act : { act, asJson };
		},
		run: async ({ act, asJson }, ctx) => {
			const { host } = ctx;
			if (!act) return asJson ? shown(host, asJson, ports) : looked(ctx, ports);
			const catalogue = catalogueOf(host, ports);
			const changed = await edit((chain) => changedBy(act, chain, catalogue), ports);
			if ("failure" in changed) return changed;
			return { ...shown(host, asJson, ports), text: changed.text };
		},
	};
}

function actIn([verb = "", ...names]: readonly string[]): Act | Failure {
	const [name, place, ...others] = names;
	if (verb === "clear" && name === undefined) return { kind: verb };
	if ((verb === "add" || verb === "remove") && name !== undefined) return { kind: verb, names };
	if (verb === "move" && name !== undefined && place !== undefined && others.length === 0) {
		return { kind: verb, name, place };
	}
	const isVerb = VERBS.some((each) => each === verb);
	const meant = isVerb ? [] : nearest(verb, VERBS);
	return usageError(USAGE, meant.length > 0 ? `Did you mean ${meant.join(" or ")}?` : undefined);
}

function changedBy(act: Act, chain: readonly string[], catalogue: Catalogue): Changed | Failure {
	switch (act.kind) {
		case "add":
			return forEach(chain, act.names, (before, name) => addTo(before, name, catalogue));
		case "remove":
			return forEach(chain, act.names, removeFrom);
		case "move":
			return moveIn(chain, act.name, act.place);
		case "clear":
			return { chain: [], text: cleared(chain.length) };
	}
}

/** Opens a panel in the terminal to edit the list; elsewhere prints it. */
async function looked(ctx: CommandContext, ports: ChainPorts): Promise<Outcome> {
	const { host } = ctx;
	if (modeOf(host) !== "tui") return shown(host, false, ports);
	const seen = await editOnScreen(ctx, {
		pool: ports.pool,
		clock: ports.clock,
		view: () => viewFor(host, ports),
		catalogue: catalogueOf(host, ports),
		candidates: () => candidatesFor(host),
		chain: () => ports.settings.read().beyond.chain,
		edit: (change) => edit(change, ports),
	});
	return seen ? { ...shown(host, false, ports), text: "" } : shown(host, false, ports);
}

function shown(host: ExtensionCommandContext, asJson: boolean, ports: ChainPorts) {
	const view = viewFor(host, ports);
	return { text: chainAsText(view, columnsNow()), json: chainAsJson(view), asJson };
}

/** Changes the stored chain, and registers or removes the virtual model accordingly. */
async function edit<F extends { readonly failure: string }>(
	change: (chain: readonly string[]) => Changed | F,
	{ settings, pool }: ChainPorts,
): Promise<Changed | F> {
	let outcome = change(settings.read().beyond.chain);
	if ("failure" in outcome) return outcome;
	await settings.changeChain((chain) => {
		outcome = change(chain);
		return "failure" in outcome ? undefined : outcome.chain;
	});
	pool.emit({ type: "changed" });
	return outcome;
}

function viewFor(host: ExtensionCommandContext, { poolModel, clock }: ChainPorts): ChainView {
	const { isAvailable } = poolModel;
	return { isAvailable, isSelected: isPoolModel(host.model), links: poolModel.shown(host), now: clock.now() };
}

function catalogueOf(host: ExtensionCommandContext, { poolModel }: ChainPorts): Catalogue {
	return {
		isAvailable: poolModel.isAvailable,
		look: (name) => poolModel.look(name, host),
		like: (typed) => modelsLike(typed, host.modelRegistry.getAll().filter(isPhysical).map(modelName)),
	};
}

/** Lists models that could be added: those whose provider has a sign-in or a key. */
function candidatesFor({ modelRegistry }: ExtensionCommandContext): readonly string[] {
	return modelRegistry.getAvailable().filter(isPhysical).map(modelName);
}

function isPhysical(model: { readonly api: string }): boolean {
	return !isVirtual(model);
}
