"use strict";
document.getElementById("page").textContent =
    document.getElementById("data").textContent === "null" ? "live" : "report";
