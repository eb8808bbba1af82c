import type { ReserveModel, UsageWindow } from "../../core/usage.ts";

const RESERVE_ID = "base_model_inference";
const WIRE_MODEL = "gpt-reserve";
const RESERVE_IDS: ReadonlySet<string> = new Set([RESERVE_ID, "gpt_reserve"]);

/** True for the id or name of the reserve model's limit, written with underscores or dashes. */
export function isReserveLimit(idOrName: string | undefined): boolean {
	return RESERVE_IDS.has((idOrName ?? "").toLowerCase().replaceAll(/[-\s]/g, "_"));
}

/**
 * Returns the reserve model that a limit describes. The limit's name is the model to request, unless it is written for
 * people.
 */
export function reserveModelFrom(limit: {
	readonly name: string | undefined;
	readonly visibleModel: string | undefined;
	readonly windows: readonly UsageWindow[];
	readonly isReached?: boolean | undefined;
}): ReserveModel {
	const { name = "", visibleModel = "", windows, isReached } = limit;
	const isModel = /^[a-z0-9][a-z0-9.-]*$/.test(name) && name !== RESERVE_ID.replaceAll("_", "-");
	return {
		limitId: RESERVE_ID,
		wireModel: isModel ? name : WIRE_MODEL,
		visibleModel,
		windows,
		...(isReached && { isReached }),
	};
}
