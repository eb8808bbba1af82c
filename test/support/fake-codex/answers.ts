import type { AnswerFunction, DelayedAnswer, HangAnswer, PlainAnswer, ResetAnswer, ScriptedAnswer } from "./answer.ts";
import * as limited from "./answers-limited.ts";
import * as refused from "./answers-refused.ts";
import * as streamed from "./answers-streamed.ts";

/** Constructors of every answer a script can hold. */
export const answers = {
	text: streamed.text,
	echoAccount: streamed.echoAccount,
	slow: streamed.slow,
	failedBeforeOutput: streamed.failedBeforeOutput,
	failedAfterOutput: streamed.failedAfterOutput,
	errorEvent: streamed.errorEvent,
	hangAfterStart: streamed.hangAfterStart,
	noTerminalEvent: streamed.noTerminalEvent,
	resetMidStream: streamed.resetMidStream,
	wsClose: streamed.wsClose,
	usageLimit: limited.usageLimit,
	perModelLimit: limited.perModelLimit,
	reserveLimit: limited.reserveLimit,
	workspaceLimit: limited.workspaceLimit,
	rateLimit: limited.rateLimit,
	bare429: limited.bare429,
	unauthorized: refused.unauthorized,
	deactivatedWorkspace: refused.deactivatedWorkspace,
	forbidden: refused.forbidden,
	usageNotIncluded: limited.usageNotIncluded,
	cloudflare: refused.cloudflare,
	regionBlocked: refused.regionBlocked,
	serverError: refused.serverError,
	overloaded: refused.overloaded,
	invalidEncryptedContent: refused.invalidEncryptedContent,
	previousResponseNotFound: refused.previousResponseNotFound,
	modelNotSupported: refused.modelNotSupported,
	clientTooOld: refused.clientTooOld,
	modelNotFound: refused.modelNotFound,
	contextTooLong: refused.contextTooLong,
	wsErrorFrame: refused.wsErrorFrame,
	wsRefuseUpgrade: refused.wsRefuseUpgrade,
	refuse: refused.refuse,
	hang,
	resetBeforeHeaders,
	delayed,
	refuseReasoning,
};

/** Never answers: no headers, no frame, until the client or the server goes away. */
function hang(): HangAnswer {
	return { kind: "hang", name: "hang" };
}

/** Resets the connection before any byte of an answer. */
function resetBeforeHeaders(): ResetAnswer {
	return { kind: "reset", name: "resetBeforeHeaders" };
}

/** Waits, then gives another answer, e.g. a 429 that takes its time. */
function delayed(ms: number, then: PlainAnswer): DelayedAnswer {
	return { kind: "delayed", name: "delayed", ms, then };
}

/** Refuses requests that carry reasoning blobs with `invalidEncryptedContent()`; gives the others the usual answer. */
function refuseReasoning(otherwise: ScriptedAnswer = streamed.echoAccount()): AnswerFunction {
	return (request, account) => {
		if (carriesReasoning(request.body?.input)) return refused.invalidEncryptedContent();
		return typeof otherwise === "function" ? otherwise(request, account) : otherwise;
	};
}

function carriesReasoning(input: unknown): boolean {
	return JSON.stringify(input ?? "").includes('"encrypted_content":"');
}
