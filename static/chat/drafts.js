// Unsent messages, one for each user and conversation. They are stored in this browser only.
"use strict";

const drafts = {
  key: (user, conversation) => `draft:${user}:${conversation}`,

  save(user, conversation, text) {
    try {
      if (text.trim()) localStorage.setItem(this.key(user, conversation), text);
      else localStorage.removeItem(this.key(user, conversation));
    } catch { /* storage is full or switched off */ }
  },

  load(user, conversation) {
    try {
      return localStorage.getItem(this.key(user, conversation)) ?? "";
    } catch {
      return "";
    }
  },

  exist() {
    try {
      return Object.keys(localStorage).some((key) => key.startsWith("draft:"));
    } catch {
      return false;
    }
  },
};

// The login page, after a session has ended, says that nothing is lost.
const draftNote = query("[data-draft-note]");
if (draftNote) draftNote.hidden = !drafts.exist();
