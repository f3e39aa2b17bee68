"use strict";
SwaggerUIBundle({
  url: "/docs/contract.json",
  dom_id: "#contract",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null,
});
