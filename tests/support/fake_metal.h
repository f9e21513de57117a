/* Fake Metal: what a test asks of the device in fake_metal.m. */
#ifndef TESTS_FAKE_METAL_H
#define TESTS_FAKE_METAL_H

long fake_metal_live(void);     /* objects that were made and not released */
void fake_metal_reset(void);    /* counts for FAKE_METAL begin anew */

#endif
