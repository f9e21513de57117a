/* Curve: time over size, in one to three straight pieces, or in pages.
 *
 *     affine   t = alpha + n / beta                                   Hockney; half the rate is reached at n_half = alpha * beta
 *     knee     the rate changes at a size (a cache ends, pages end)
 *     pages    what fills whole pages of a size has one rate, what is left of the bytes another (huge pages and small ones)
 *     jump     time and rate change at a size (another protocol from there on)
 *     knees    the rate changes twice
 *
 * More pieces must earn their place: Akaike's criterion, corrected for few points (AICc), has to fall by 6, so that noise does
 * not make knees. Schwarz's (BIC) is asked beside it, with the same gain: where it takes another family, the choice hangs on few
 * points. Fitted in logarithms, robustly, with nothing negative (solve.h). Pages are tried only where memory is taken. */
#ifndef ES_CALIB_CURVE_H
#define ES_CALIB_CURVE_H

#include <stdbool.h>
#include <stddef.h>

enum { CURVE_PIECES = 3 };

typedef enum curve_family { CURVE_AFFINE, CURVE_KNEE, CURVE_PAGES, CURVE_JUMP, CURVE_KNEES, CURVE_FAMILIES } curve_family;
/* What may be tried beside the affine family, a bit for each: those whose rate hangs on the size, pages, or all. */
enum { CURVE_BY_SIZE = 1 << CURVE_KNEE | 1 << CURVE_JUMP | 1 << CURVE_KNEES, CURVE_IN_PAGES = 1 << CURVE_PAGES, CURVE_ANY = CURVE_BY_SIZE | CURVE_IN_PAGES };
extern const char *const curve_names[CURVE_FAMILIES + 1];   /* ends with NULL */

typedef struct curve_point {
    double bytes, ns;           /* above 0 */
} curve_point;

typedef struct calib_curve {
    int family;                 /* curve_family */
    size_t pieces;
    double from[CURVE_PIECES];  /* bytes at which a piece begins, ascending; the first at 0. Of pages: [1] is their size */
    double fixed[CURVE_PIECES]; /* ns; fixed[0] is alpha. Behind a knee it follows from continuity and may be negative */
    double slope[CURVE_PIECES]; /* ns per byte. Of pages: of the rest, of whole pages */
    bool clamped;               /* alpha would have been negative */
    double aicc[CURVE_FAMILIES]; /* of the best curve of each family; NaN: too few points for it, or not tried */
    double bic[CURVE_FAMILIES];
    int family_bic;             /* that BIC would take */
} calib_curve;

double curve_ns(const calib_curve *curve, double bytes);
/* The curve of the family that deserves it. `point` ascending by bytes; `families`: bits of those tried, the affine one
 * always. False: fewer than 3 points. */
bool curve_fit(const curve_point *point, size_t count, unsigned families, calib_curve *out);
/* The same with the family and roughly the knees of `like`: for resamples, where the choice stands. */
bool curve_refit(const curve_point *point, size_t count, const calib_curve *like, calib_curve *out);

#endif
